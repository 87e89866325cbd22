"""What a dense head predicts before NMS, in one form for every head family."""

from collections.abc import Callable
from functools import cached_property

from torch import Tensor


class DensePredictions:
    """Raw class logits and decoded boxes of one forward pass, level by level.

    Args:
        cls_logits: Per level, raw logits [N, A·C, H, W]; C is ``num_classes``,
            or one more with ``background``.
        num_classes: Number of foreground classes.
        decode: Makes the boxes of all levels; called once, on first use.
        background: The last of an anchor's channels is the background class of
            a softmax classifier.

    Attributes:
        cls_logits: As given.
        num_classes: As given.
        background: As given.
    """

    def __init__(
        self,
        cls_logits: list[Tensor],
        num_classes: int,
        decode: Callable[[], list[Tensor]],
        background: bool = False,
    ) -> None:
        self.cls_logits = cls_logits
        self.num_classes = num_classes
        self.background = background
        self._decode = decode

    @cached_property
    def boxes(self) -> list[Tensor]:
        """Per level, boxes [N, H·W·A, 4] as ``x1, y1, x2, y2`` in pixels of the input.

        They are ordered as MMDetection orders priors (row, column, anchor),
        not clipped to the image, at least float32, and differentiable with
        respect to the head's output.
        """
        return self._decode()
