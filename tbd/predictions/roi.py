"""What a two-stage detector's box heads predict for a set of proposals."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from tbd.precision import at_least_float32
from tbd.predictions.adapter import UnsupportedHeadError


class RoIPredictions:
    """Class logits and decoded boxes of R proposals (regions of interest).

    Args:
        rois: Proposals [R, 5]: index of the image, ``x1, y1, x2, y2`` in pixels
            of the input.
        cls_logits: Raw logits [R, C + 1] of a softmax classifier, the
            background last.
        decode: Makes the boxes; called once, on first use.

    Attributes:
        rois: As given.
        cls_logits: As given.
    """

    def __init__(self, rois: Tensor, cls_logits: Tensor, decode: Callable[[], Tensor]) -> None:
        self.rois = rois
        self.cls_logits = cls_logits
        self._decode = decode

    def select_classes(self, classes: Sequence[int]) -> "RoIPredictions":
        """Keep logits and boxes of some of the classes, in the order given, and the background."""

        def decode() -> Tensor:
            return self.boxes if self.boxes.shape[1] == 1 else self.boxes[:, list(classes)]

        return RoIPredictions(self.rois, self.cls_logits[:, [*classes, -1]], decode)

    @cached_property
    def boxes(self) -> Tensor:
        """Boxes [R, C, 4] of each class, or [R, 1, 4] for all, not clipped, at least float32."""
        return self._decode()


def no_predictions(like: Tensor, num_classes: int) -> RoIPredictions:
    """Predictions for no proposal at all, on the device of ``like``."""
    boxes = like.new_zeros(0, 1, 4, dtype=torch.float32)
    return RoIPredictions(like.new_zeros(0, 5), like.new_zeros(0, num_classes + 1), lambda: boxes)


def check_box_head(head: nn.Module) -> None:
    """Make sure that :func:`read_box_head` can read a box head.

    Raises:
        UnsupportedHeadError: if it has no softmax over the classes and one
            background, or regresses no deltas.
    """
    problem = ""
    if not isinstance(head, BBoxHead):
        problem = "is no BBoxHead"
    elif not (getattr(head, "with_cls", False) and getattr(head, "with_reg", False)):
        problem = "lacks a classifier or a regressor"
    elif head.custom_activation or getattr(head.loss_cls, "use_sigmoid", False):
        problem = "classifies by something other than a softmax with one background class"
    if problem:
        raise UnsupportedHeadError(
            f"The box head {type(head).__name__} {problem}; RoI distillation reads heads that "
            "return class logits with the background last, and deltas."
        )


def read_box_head(head: BBoxHead, rois: Tensor, output: Any) -> RoIPredictions:
    """Wrap one output of a box head.

    Args:
        head: The box head, accepted by :func:`check_box_head`.
        rois: The proposals [R, 5] that it was run on.
        output: What its ``forward`` returned: logits [R, C + 1] and deltas
            [R, 4·C] or [R, 4].

    Returns:
        The predictions.
    """
    cls_logits, deltas = output

    def decode() -> Tensor:
        # No max_shape: clipping to the image would kill the gradient of boxes that cross it.
        boxes = head.bbox_coder.decode(at_least_float32(rois[:, 1:]), at_least_float32(deltas))
        return get_box_tensor(boxes).unflatten(-1, (-1, 4))

    return RoIPredictions(rois, cls_logits, decode)
