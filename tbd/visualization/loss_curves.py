"""Value and gradient of the imbalance losses against the probability of the true class."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tbd.files import replacing
from tbd.losses import (
    influence_balanced_focal_loss,
    influence_balanced_loss,
    softmax_focal_loss,
)
from tbd.visualization.literal import literal
from tbd.visualization.palette import line_look

_NUM_CLASSES = 6
_PROBABILITIES = (0.002, 0.998)
_POINTS = 251
_MARK_EVERY = 25


@dataclass(frozen=True)
class LossCurve:
    """One loss as a function of the true class's probability.

    Args:
        name: Its name in the legend.
        value: Loss [P].
        gradient: Absolute value of its derivative by the true class's logit [P].
    """

    name: str
    value: np.ndarray
    gradient: np.ndarray


def loss_curves(
    probability: np.ndarray, gamma: float, alpha: float, norm: float, epsilon: float
) -> list[LossCurve]:
    """Evaluate cross entropy and the imbalance losses, without class weights.

    Args:
        probability: Probability of the true class [P], in (0, 1); the other classes share the
            rest equally.
        gamma: Exponent of the focal factors.
        alpha: Scale of the influence factors.
        norm: L1 norm of the features.
        epsilon: Of the influence factors.
    """
    own = torch.from_numpy(np.log(probability / (1 - probability) * (_NUM_CLASSES - 1)))
    target = torch.zeros(len(own), dtype=torch.long)
    norms = torch.full_like(own, norm)

    def balanced(logits: Tensor, detach_factor: bool) -> Tensor:
        return influence_balanced_loss(
            logits, target, norms, alpha, epsilon, None, detach_factor, "none"
        )

    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "cross entropy": lambda x: softmax_focal_loss(x, target, 0.0, reduction="none"),
        f"focal, γ = {gamma:g}": lambda x: softmax_focal_loss(x, target, gamma, reduction="none"),
        "influence-balanced": lambda x: balanced(x, False),
        "influence-balanced, factor detached": lambda x: balanced(x, True),
        f"influence-balanced focal, γ = {gamma:g}": lambda x: influence_balanced_focal_loss(
            x, target, norms, alpha, gamma, epsilon, reduction="none"
        ),
    }
    return [_evaluate(name, loss, own) for name, loss in losses.items()]


@literal
def draw_loss_curves(
    path: str | os.PathLike[str],
    gamma: float = 2.0,
    alpha: float = 100.0,
    norm: float = 100.0,
    epsilon: float = 1e-3,
) -> None:
    """Draw value and gradient of each loss side by side.

    Args:
        path: File to write, its suffix decides on the format; missing folders are made.
        gamma: See :func:`loss_curves`.
        alpha: See :func:`loss_curves`.
        norm: See :func:`loss_curves`.
        epsilon: See :func:`loss_curves`.

    Raises:
        ValueError: A parameter is out of its range.
    """
    probability = np.linspace(*_PROBABILITIES, _POINTS)
    curves = loss_curves(probability, gamma, alpha, norm, epsilon)
    # Text as text keeps the file small, and a fixed salt makes equal pictures equal files.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tbd", "font.size": 11}):
        figure = Figure(figsize=(10, 4.6), layout="constrained")
        value_axes, gradient_axes = figure.subplots(1, 2)
        for axes, title, values in (
            (value_axes, "loss", [curve.value for curve in curves]),
            (gradient_axes, "|∂ loss / ∂ true class's logit|", [c.gradient for c in curves]),
        ):
            for index, (curve, value) in enumerate(zip(curves, values, strict=True)):
                look = line_look(index)
                axes.plot(probability, value, label=curve.name, markevery=_MARK_EVERY, **look)
            axes.set(title=title, xlabel="probability of the true class", xlim=(0, 1))
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        value_axes.set_ylim(0, 5)
        gradient_axes.set_ylim(bottom=0)
        figure.legend(*value_axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.suptitle(f"alpha = {alpha:g}, ‖h‖₁ = {norm:g}, epsilon = {epsilon:g}", fontsize=11)
        metadata = {"Date": None} if Path(path).suffix == ".svg" else None
        with replacing(path) as temporary:
            figure.savefig(temporary, metadata=metadata)


def _evaluate(name: str, loss: Callable[[Tensor], Tensor], own: Tensor) -> LossCurve:
    logits = torch.zeros(len(own), _NUM_CLASSES, dtype=own.dtype)
    logits[:, 0] = own
    logits.requires_grad_()
    value = loss(logits)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    return LossCurve(name, value.detach().numpy(), gradient[:, 0].abs().numpy())
