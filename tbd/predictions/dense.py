"""What a dense head predicts before NMS, in one form for every head family."""

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from tbd.precision import at_least_float32

Encoding = Literal["deltas", "distances", "bins", "other"]
"""What a head regresses, before it is decoded to boxes.

``"deltas"``: shifts of the anchor's centre and logarithms of its size, as
DeltaXYWHBBoxCoder encodes them. ``"distances"``: pixels from the prior's point to
the left, top, right and bottom of the box. ``"bins"``: logits of a distribution
of each of the four distances, in strides. ``"other"``: what only the head's own
decoder understands.
"""


class DensePredictions:
    """Raw class logits and decoded boxes of one forward pass, level by level.

    Args:
        cls_logits: Per level, raw logits [N, A·C, H, W]; C is ``num_classes``,
            or one more with ``background``.
        num_classes: Number of foreground classes.
        decode: Makes the boxes of all levels; called once, on first use.
        background: The last of an anchor's channels is the background class of
            a softmax classifier.
        quality: Per level, raw logits [N, A, H, W] of a branch that judges the
            box (centerness, IoU, objectness); None for heads without one.
        quality_exponent: The e of the score by which the head ranks its
            predictions, ``(sigmoid(class) · sigmoid(quality)) ** e``.
        regression: Per level, what the head regressed for each prediction
            [N, A·R, H, W], the anchor outermost in the channel axis.
        encoding: What those R numbers are; of distributions they are 4·bins,
            the side outermost.

    Raises:
        ValueError: with both ``background`` and ``quality``: the product of a
            softmax probability and a sigmoid has no logit here.

    Attributes:
        cls_logits: As given.
        num_classes: As given.
        background: As given.
        quality: As given.
        quality_exponent: As given.
        regression: As given; empty where it is not known.
        encoding: As given.
    """

    def __init__(
        self,
        cls_logits: list[Tensor],
        num_classes: int,
        decode: Callable[[], list[Tensor]],
        background: bool = False,
        quality: list[Tensor] | None = None,
        quality_exponent: float = 1.0,
        regression: Sequence[Tensor] = (),
        encoding: Encoding = "other",
    ) -> None:
        if background and quality is not None:
            raise ValueError("A quality branch beside a softmax classifier is not supported.")
        self.cls_logits = cls_logits
        self.num_classes = num_classes
        self.background = background
        self.quality = quality
        self.quality_exponent = quality_exponent
        self.regression = list(regression)
        self.encoding = encoding
        self._decode = decode

    @property
    def cls_channels(self) -> int:
        """Class logits of one prediction, C: one for each class, and one for the background."""
        return self.num_classes + int(self.background)

    def select(self, levels: Sequence[int]) -> "DensePredictions":
        """Keep some of the levels, in the order given; boxes are still decoded but once."""
        return DensePredictions(
            [self.cls_logits[level] for level in levels],
            self.num_classes,
            decode=lambda: [self.boxes[level] for level in levels],
            background=self.background,
            quality=self.quality and [self.quality[level] for level in levels],
            quality_exponent=self.quality_exponent,
            regression=[self.regression[level] for level in levels] if self.regression else (),
            encoding=self.encoding,
        )

    def select_classes(self, classes: Sequence[int]) -> "DensePredictions":
        """Keep the logits of some of the classes, in the order given, and of the background."""
        kept = [*classes, self.num_classes] if self.background else list(classes)
        return DensePredictions(
            [
                level.unflatten(1, (-1, self.cls_channels))[:, :, kept].flatten(1, 2)
                for level in self.cls_logits
            ],
            len(classes),
            decode=lambda: self.boxes,
            background=self.background,
            quality=self.quality,
            quality_exponent=self.quality_exponent,
            regression=self.regression,
            encoding=self.encoding,
        )

    @cached_property
    def boxes(self) -> list[Tensor]:
        """Per level, boxes [N, H·W·A, 4] as ``x1, y1, x2, y2`` in pixels of the input.

        They are ordered as MMDetection orders priors (row, column, anchor),
        not clipped to the image, at least float32, and differentiable with
        respect to the head's output.
        """
        return self._decode()

    @cached_property
    def ranking_logits(self) -> list[Tensor]:
        """Per level, logits [N, A·C, H, W] of the score that ranks predictions at NMS.

        Their sigmoid is ``(sigmoid(class) · sigmoid(quality)) ** e``. Without a
        quality branch they are the class logits themselves.
        """
        if self.quality is None:
            return self.cls_logits
        return [
            self._fold(logits, quality)
            for logits, quality in zip(self.cls_logits, self.quality, strict=True)
        ]

    def _fold(self, cls_logits: Tensor, quality: Tensor) -> Tensor:
        logits = at_least_float32(cls_logits).unflatten(1, (-1, self.num_classes))
        log_quality = logsigmoid(at_least_float32(quality)).unsqueeze(2)
        log_score = self.quality_exponent * (logsigmoid(logits) + log_quality)
        return (log_score - log1mexp(log_score)).flatten(1, 2)


def log1mexp(x: Tensor) -> Tensor:
    """log(1 − exp(x)) for x <= 0, without cancellation on either side of −log 2."""
    x = x.clamp(max=-torch.finfo(x.dtype).tiny)
    near = x > -math.log(2)
    # Each branch sees only values for which its gradient is finite.
    small = torch.log(-torch.expm1(torch.where(near, x, -1.0)))
    large = torch.log1p(-torch.exp(torch.where(near, -1.0, x)))
    return torch.where(near, small, large)
