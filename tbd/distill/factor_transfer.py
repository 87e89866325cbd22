"""Factor transfer (FT)."""

import inspect
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tbd.arguments import advice
from tbd.checks import check_positive, check_same_shape
from tbd.compat import load_checkpoint
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.generative import AutoEncodingModel, ConvAutoEncoder, ConvVariationalAutoEncoder
from tbd.generative.convolutional import ConvEncoder
from tbd.precision import at_least_float32
from tbd.registry import MODELS

EPS = 1e-12
"""Smallest norm that is divided by."""

CONVOLUTIONS = 3
"""Of the paraphraser's encoder, its decoder and the translator each, as in the paper."""


def factor_transfer_loss(factor_s: Tensor, factor_t: Tensor, p: int) -> Tensor:
    """Distance of two factors, each of length 1.

    ‖F_T/‖F_T‖₂ − F_S/‖F_S‖₂‖_p for each image; Kim et al. (arXiv 1802.04977).

    Args:
        factor_s: Factor of the student [N, C, H, W], or of any other shape.
        factor_t: Factor of the teacher, of the same shape; a constant.
        p: 1 or 2.

    Returns:
        A scalar, the mean over the images: at most 2 for p = 2, at most
        2·√(C·H·W) for p = 1.

    Raises:
        ValueError: if the shapes differ, or ``p`` is another number.
    """
    _check_p(p)
    check_same_shape(factor_s=factor_s, factor_t=factor_t)
    unit_s, unit_t = (
        normalize(at_least_float32(factor).flatten(1), dim=1, eps=EPS)
        for factor in (factor_s, factor_t.detach())
    )
    return torch.linalg.vector_norm(unit_s - unit_t, ord=p, dim=1).mean()


@MODELS.register_module()
class FactorTransfer(DistillationTerm):
    """The student's translator is to say what a paraphraser says of the teacher's features.

    Each pyramid level has a paraphraser, an autoencoder of the teacher's
    features whose code is the teacher's factor, and a translator, convolutions
    from the student's features to a factor of the same shape. FT, Kim et al.,
    NeurIPS 2018 (arXiv 1802.04977).

    The paraphraser learns first, without labels. :class:`tbd.engine.ParaphraserPhaseHook`
    gives it a number of epochs at the start of the run, in which the student
    learns from its labels alone and this term's only loss is the
    reconstruction; from then on the paraphraser is frozen and the factors are
    transferred. Or an earlier run trained it: ``paraphraser_ckpt``. A clipping
    of gradients by their common norm sees the paraphraser's too.

    Two things are not as in the paper, whose student classifies images. The
    paraphraser sees features of mean square 1 in each image and level, so that
    its reconstruction error, the mean square, is the share that is lost, and
    the learning rate of the detector serves it too. And for p = 1 the loss is
    divided by √(C·H·W), so that one weight serves levels of every size; it is
    between 0 and 2 for both p. Without ``batch_norm=True`` there is no batch
    norm, since the batches of detectors hold few images.

    Args:
        loss_weight: Factor on the transfer's sum over the levels. With 0 nothing
            of the term learns.
        p: Norm of the difference, 1 as in the paper's experiments, or 2.
        rate: Channels of the factor as a part of the teacher's, the paper's k.
        paraphraser: Config of the autoencoder, merged over
            ``dict(type="tbd.ConvAutoEncoder", strides=(1, 1, 1), kernel_size=3,
            negative_slope=0.1, batch_norm=False)``; its channels follow from the
            teacher's and ``rate``. Of a ``"tbd.ConvVariationalAutoEncoder"`` the
            factor is the mean of the code, which says the more the smaller its
            ``decoder_variance`` is: see the reported error. The translator has the
            layout of the encoder.
        reconstruction_weight: Factor on the paraphraser's losses.
        paraphraser_ckpt: Checkpoint of a run that trained the paraphraser of a
            term like this one, on the same teacher: a path or URL.
        allow_random_paraphraser: Transfer from an untrained paraphraser; for
            trials only.

    Raises:
        TypeError: if an argument of the paraphraser is unknown.
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"features"})
    own_losses = frozenset({"loss_reconstruction", "loss_kl"})
    trial_options: ClassVar[Mapping[str, Any]] = {
        "allow_random_paraphraser": True,
        "paraphraser_ckpt": None,
    }

    def __init__(
        self,
        loss_weight: float = 1.0,
        p: int = 1,
        rate: float = 0.5,
        paraphraser: Mapping[str, Any] | None = None,
        reconstruction_weight: float = 1.0,
        paraphraser_ckpt: str | None = None,
        allow_random_paraphraser: bool = False,
    ) -> None:
        super().__init__(loss_weight)
        _check_p(p)
        check_positive(rate=rate, reconstruction_weight=reconstruction_weight)
        self.p = p
        self.rate = rate
        self.paraphraser = _complete(paraphraser or {})
        self.reconstruction_weight = reconstruction_weight
        self.paraphraser_ckpt = paraphraser_ckpt
        self.allow_random_paraphraser = allow_random_paraphraser
        self.paraphrasers = nn.ModuleList()
        self.translators = nn.ModuleList()
        self.paraphraser_steps: Tensor
        self.register_buffer("paraphraser_steps", torch.zeros((), dtype=torch.int64))
        self._paraphrasing: bool | None = None
        self._checked = False

    @property
    def fixed(self) -> bool:
        """Whether the paraphraser never learns in this run."""
        return self.paraphraser_ckpt is not None or self.allow_random_paraphraser

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create a paraphraser and a translator per pyramid level.

        Raises:
            FileNotFoundError: if there is no ``paraphraser_ckpt``.
            ValueError: if it holds no paraphraser of this kind.
        """
        layout = {
            key: self.paraphraser[key]
            for key in ("strides", "kernel_size", "batch_norm", "negative_slope")
        }
        for channels_s, channels_t in zip(student.channels, teacher.channels, strict=True):
            factor = (max(1, round(self.rate * channels_t)),) * (CONVOLUTIONS - 1)
            paraphraser = MODELS.build(
                {
                    **self.paraphraser,
                    "in_channels": channels_t,
                    "channels": (channels_t, *factor),
                    "output": "linear",
                }
            )
            if paraphraser.init_cfg:
                paraphraser.init_weights()
            self.paraphrasers.append(paraphraser)
            self.translators.append(ConvEncoder(channels_s, (channels_s, *factor), **layout))
        if self.paraphraser_ckpt is not None:
            self._load_paraphrasers(self.paraphraser_ckpt)
        if self.fixed:
            self.paraphrasers.requires_grad_(False)

    def describe(self) -> str:
        """Name the settings."""
        source = self.paraphraser_ckpt or ("random" if self.allow_random_paraphraser else "learnt")
        return (
            f"FactorTransfer(loss_weight={self.loss_weight}, p={self.p}, rate={self.rate}, "
            f"paraphraser={self.paraphraser['type']} ({source}), "
            f"reconstruction_weight={self.reconstruction_weight})"
        )

    def set_phase(self, paraphrasing: bool) -> None:
        """Let the paraphraser learn, or freeze it and transfer.

        Args:
            paraphrasing: True for the first phase, False for the second.
        """
        self._paraphrasing = paraphrasing
        self.train(self.training)

    def train(self, mode: bool = True) -> "FactorTransfer":
        """Set the mode; a frozen paraphraser stays in eval mode, for its batch norm."""
        super().train(mode)
        if not self._paraphrasing:
            self.paraphrasers.eval()
        return self

    def idle_parameters(self) -> Iterable[nn.Parameter]:
        """The translators' in the first phase, the paraphrasers' in the second."""
        return (self.translators if self._paraphrasing else self.paraphrasers).parameters()

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return the losses of the phase.

        Returns:
            In the first phase ``loss_reconstruction``, with ``loss_kl`` of a
            variational paraphraser, and the reconstruction ``error`` of each
            level, from the factor: 0 is perfect, 1 what zeros in place of
            features have. In the second ``loss_factor``.

        Raises:
            RuntimeError: if the paraphraser is untrained.
        """
        features_t = [_unit_mean_square(feat) for feat in teacher.features]
        if self._paraphrasing:
            return self._reconstruct(features_t)
        self._check_trained()
        losses = []
        for translate, paraphraser, feat_s, feat_t in zip(
            self.translators, self.paraphrasers, student.features, features_t, strict=True
        ):
            with torch.no_grad():
                factor_t = cast(AutoEncodingModel, paraphraser).encode(feat_t)
            factor_s = translate(at_least_float32(feat_s))
            loss = factor_transfer_loss(factor_s, factor_t, self.p)
            losses.append(loss / math.sqrt(factor_t[0].numel()) if self.p == 1 else loss)
        return {"loss_factor": self.loss_weight * torch.stack(losses).sum()}

    def _reconstruct(self, features_t: list[Tensor]) -> dict[str, Tensor]:
        weight = self.reconstruction_weight if self.loss_weight else 0.0
        totals: dict[str, Tensor] = {}
        errors = {}
        for level, (paraphraser, feat_t) in enumerate(
            zip(self.paraphrasers, features_t, strict=True)
        ):
            # Sums over an image, which is brought to their mean.
            parts = cast(AutoEncodingModel, paraphraser).loss(feat_t, None)
            means = {name: part / feat_t[0].numel() for name, part in parts.items()}
            error = means["loss_reconstruction"].detach()
            if isinstance(paraphraser, ConvVariationalAutoEncoder):
                # A drawn code may serve a decoder whose mean codes are all alike.
                with torch.no_grad():
                    error = (paraphraser.reconstruct(feat_t) - feat_t).square().mean()
            errors[f"error_{level}"] = error
            for name, mean in means.items():
                totals[name] = totals.get(name, 0) + weight * mean
        self.paraphraser_steps += 1
        return {**totals, **errors}

    def _check_trained(self) -> None:
        # Once, because looking waits for the device.
        if self._checked or self.fixed:
            return
        if self._paraphrasing is None or not int(self.paraphraser_steps):
            state = (
                "nothing says when it learns"
                if self._paraphrasing is None
                else "it has not learnt for a single step"
            )
            raise RuntimeError(
                f"FactorTransfer: the paraphraser is not trained, {state}. Set custom_hooks=["
                "dict(type='tbd.ParaphraserPhaseHook', epoch=…)], which gives it the first epochs "
                "of the run, or paraphraser_ckpt of this term to a checkpoint of a run that "
                "trained one."
            )
        self._checked = True

    def _load_paraphrasers(self, source: str) -> None:
        try:
            checkpoint = load_checkpoint(source)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"FactorTransfer.paraphraser_ckpt: {error}") from error
        state_dict = checkpoint.get("state_dict", checkpoint)
        found: dict[str, dict[str, Tensor]] = {}
        for key, value in state_dict.items():
            if match := re.match(r"(.*?)paraphrasers\.(.*)", key):
                found.setdefault(match[1], {})[match[2]] = value
        if len(found) != 1:
            held = f"those of {', '.join(found)}" if found else "no paraphraser"
            raise ValueError(
                f"paraphraser_ckpt={source!r} holds {held}; take a checkpoint of a run with one "
                "FactorTransfer and a tbd.ParaphraserPhaseHook."
            )
        ((prefix, weights),) = found.items()
        steps = state_dict.get(f"{prefix}paraphraser_steps")
        if steps is None or not int(steps):
            raise ValueError(
                f"paraphraser_ckpt={source!r} holds a paraphraser that is not trained; take a "
                "later checkpoint, of a run with a tbd.ParaphraserPhaseHook."
            )
        try:
            self.paraphrasers.load_state_dict(weights)
        except RuntimeError as error:
            first = str(error).split("\n\t")[1]
            raise ValueError(
                f"paraphraser_ckpt={source!r} holds another paraphraser ({first.rstrip('.')}); "
                "take one of the same teacher and pyramid levels, and set rate and paraphraser as "
                "there."
            ) from error
        self.paraphraser_steps.copy_(steps)


def _complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what a paraphraser's config leaves open."""
    given = dict(config)
    kind = MODELS.get(str(given.get("type", "tbd.ConvAutoEncoder")))
    if kind not in (ConvAutoEncoder, ConvVariationalAutoEncoder):
        raise ValueError(
            f"paraphraser.type={given.get('type')!r} must be 'tbd.ConvAutoEncoder' or "
            "'tbd.ConvVariationalAutoEncoder'."
        )
    known = [*inspect.signature(kind).parameters, "type"]
    for key in given:
        if key not in known:
            raise ValueError(
                f"paraphraser.{key}={given[key]!r} is no argument of {kind.__name__}; "
                f"{advice(str(key), known)}"
            )
    settled = sorted({"in_channels", "channels", "output"} & given.keys())
    if settled:
        raise ValueError(
            f"paraphraser.{settled[0]}={given[settled[0]]!r} is not to be set: it follows from the "
            "teacher's channels and rate."
        )
    complete = {
        "type": "tbd.ConvAutoEncoder",
        "strides": (1,) * CONVOLUTIONS,
        "kernel_size": 3,
        "batch_norm": False,
        "negative_slope": 0.1,
        **given,
    }
    if len(complete["strides"]) != CONVOLUTIONS:
        raise ValueError(
            f"paraphraser.strides={complete['strides']} must be {CONVOLUTIONS}, one for each "
            "convolution."
        )
    return complete


def _check_p(p: int) -> None:
    if p not in (1, 2):
        raise ValueError(f"p={p} must be 1 or 2.")


def _unit_mean_square(features: Tensor) -> Tensor:
    """Scale the features of each image to a mean square of 1; zeros stay zeros."""
    features = at_least_float32(features).detach()
    scale = features.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return features / scale.clamp(min=EPS)
