"""The pixels that a segmentation loss sums over: checked, weighed, flattened."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tbd.losses.checks import check_integers, check_values
from tbd.precision import at_least_float32


@dataclass(frozen=True)
class Pixels:
    """Binary pixels; the sums of a loss run over the last axis.

    Args:
        logits: Logits of the foreground [P], or [N, P] for one value per image; at least float32.
        target: 1 on the foreground, 0 elsewhere; same shape and dtype.
        weight: What a pixel counts, at least 0: an ignored one counts 0. Same shape and dtype.
    """

    logits: Tensor
    target: Tensor
    weight: Tensor

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean over the pixels, 0 where none counts."""
        total = self.weight.sum(-1)
        return (self.weight * values).sum(-1) / total.clamp(min=torch.finfo(total.dtype).tiny)


def binary_pixels(
    logits: Tensor,
    target: Tensor,
    *,
    per_image: bool = False,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
    fractions: bool = True,
) -> Pixels:
    """Flatten a binary problem.

    Args:
        logits: Logits of the foreground, any shape; half precision is computed in float32.
        target: 0 or 1, of the same shape and any real dtype.
        per_image: Keep the first axis, so that each of its entries gets a value of its own.
        weight: What a pixel counts, at least 0, of the same shape; None: 1.
        ignore_index: Target of pixels that do not count.
        fractions: Allow targets between 0 and 1, such as interpolated masks.

    Raises:
        ValueError: Shapes differ, a target or weight is out of range, or, under PyTorch's anomaly
            detection, a logit is NaN.
        TypeError: A dtype is wrong.
    """
    check_logits(logits)
    if target.shape != logits.shape:
        raise ValueError(
            f"target must have the shape of logits, but logits are {list(logits.shape)} and target "
            f"is {list(target.shape)}."
        )
    if per_image and logits.ndim < 2:
        raise ValueError(f"per_image=True needs [N, ...], but logits are {list(logits.shape)}.")
    if target.is_complex():
        raise TypeError(f"target must hold 0 and 1, not {target.dtype}.")
    logits = at_least_float32(logits)
    counts = _checked_weight(weight, target, logits.dtype)
    target = target.to(logits.dtype)
    if ignore_index is not None:
        ignored = target == ignore_index
        counts, target = counts.masked_fill(ignored, 0), target.masked_fill(ignored, 0)
    valid = (target >= 0) & (target <= 1) if fractions else (target == 0) | (target == 1)
    check_values(
        valid,
        target,
        f"target must be {'in [0, 1]' if fractions else '0 or 1'}",
        f"; ignore_index is {ignore_index}",
    )
    start = 1 if per_image else 0
    return Pixels(*(tensor.flatten(start) for tensor in (logits, target, counts)))


def class_pixels(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Check a multi-class problem and turn its labels into one mask per class.

    Args:
        logits: Logits [N, C, ...] of at least two classes.
        target: Integer labels [N, ...] in 0…C−1.
        weight: What a pixel counts, at least 0, [N, ...]; None: 1.
        ignore_index: Label of pixels that do not count.

    Returns:
        The logits, the masks and the weights, each [N, C, ...] and at least float32; weights are
        the same for all classes.

    Raises:
        ValueError: Shapes do not fit, a label or weight is out of range, or, under PyTorch's
            anomaly detection, a logit is NaN.
        TypeError: A dtype is wrong.
    """
    check_logits(logits)
    if target.shape != logits.shape[:1] + logits.shape[2:]:
        raise ValueError(
            "target must be labels [N, ...] for logits [N, C, ...], but logits are "
            f"{list(logits.shape)} and target is {list(target.shape)}."
        )
    num_classes = logits.shape[1]
    if num_classes < 2:
        raise ValueError(
            f"logits {list(logits.shape)} have one class only: a binary problem takes logits and "
            "0/1 target of the same shape."
        )
    check_integers(target=target)
    logits = at_least_float32(logits)
    counts = _checked_weight(weight, target, logits.dtype)
    target = target.long()
    if ignore_index is not None:
        ignored = target == ignore_index
        counts, target = counts.masked_fill(ignored, 0), target.masked_fill(ignored, 0)
    check_values(
        (target >= 0) & (target < num_classes),
        target,
        f"target must be labels in 0…{num_classes - 1}",
        f"; ignore_index is {ignore_index}",
    )
    masks = F.one_hot(target, num_classes).movedim(-1, 1).to(logits.dtype)
    return logits, masks, counts.unsqueeze(1).expand_as(logits)


def check_logits(logits: Tensor) -> None:
    """Check what can be checked without knowing the loss.

    Raises:
        ValueError: A logit is NaN; looked for under ``torch.autograd.detect_anomaly`` only.
        TypeError: The dtype is not a floating one.
    """
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating point, not {logits.dtype}.")
    if torch.is_anomaly_enabled() and logits.isnan().any():
        raise ValueError(f"logits hold {int(logits.isnan().sum())} NaN of {logits.numel()}.")


def _checked_weight(weight: Tensor | None, target: Tensor, dtype: torch.dtype) -> Tensor:
    if weight is None:
        return torch.ones_like(target, dtype=dtype)
    if weight.shape != target.shape:
        raise ValueError(
            f"weight must have the shape of target {list(target.shape)}, but is "
            f"{list(weight.shape)}."
        )
    check_values(weight >= 0, weight, "weight must be at least 0")
    return weight.to(dtype)
