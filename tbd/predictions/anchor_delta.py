"""Heads that classify anchors and regress deltas to them: RetinaNet's, the RPN and their kin."""

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from mmdet.models.dense_heads import RetinaHead, RetinaSepBNHead, RPNHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from tbd.predictions.adapter import PredictionAdapter, UnsupportedHeadError, register_adapter
from tbd.predictions.dense import DensePredictions
from tbd.predictions.layout import channels_of, prediction_rows


@register_adapter(RetinaHead, RetinaSepBNHead, RPNHead)
class AnchorDeltaAdapter(PredictionAdapter):
    """Reads ``(cls_scores, bbox_preds)``: lists over levels of [N, A·C, H, W] and [N, A·4, H, W].

    Args:
        head: An anchor head of MMDetection with a ``prior_generator`` and a
            ``bbox_coder`` that decodes deltas to the priors.
    """

    def __init__(self, head: BaseDenseHead) -> None:
        super().__init__(head)
        self._generator = head.prior_generator

    @property
    def num_classes(self) -> int:
        """Number of foreground classes; 1 for an RPN."""
        return int(self.head.num_classes)

    @property
    def anchors_per_location(self) -> tuple[int, ...]:
        """Number of anchors at each location, for each level."""
        return tuple(self._generator.num_base_priors)

    @property
    def prior_layout(self) -> Hashable:
        """Strides and base anchors, rounded to a thousandth of a pixel."""
        anchors = [
            level.double().round(decimals=3).tolist() for level in self._generator.base_anchors
        ]
        return str((self._generator.strides, anchors))

    def __call__(self, outputs: Any) -> DensePredictions:
        """Wrap the head's two lists; boxes are decoded when they are first asked for.

        Raises:
            UnsupportedHeadError: if the output is not of the form above, as in
                heads that inherit from these but predict something else.
        """
        self._check(outputs)
        cls_scores, bbox_preds = outputs
        return DensePredictions(
            list(cls_scores),
            self.num_classes,
            decode=lambda: self._decode(bbox_preds),
            background=not self.head.use_sigmoid_cls,
        )

    def _decode(self, bbox_preds: Sequence[Tensor]) -> list[Tensor]:
        sizes = [level.shape[-2:] for level in bbox_preds]
        priors = self._generator.grid_priors(
            sizes, dtype=torch.float32, device=bbox_preds[0].device
        )
        boxes = []
        for level_priors, deltas in zip(priors, bbox_preds, strict=True):
            batch = len(deltas)
            flat = prediction_rows(deltas, 4).flatten(0, 1)
            # No max_shape: clipping to the image would kill the gradient of boxes that cross it.
            decoded = self.head.bbox_coder.decode(level_priors.repeat(batch, 1), flat)
            boxes.append(get_box_tensor(decoded).view(batch, -1, 4))
        return boxes

    def _check(self, outputs: Any) -> None:
        per_anchor = (self.head.cls_out_channels, 4)
        expected = [
            [anchors * channels for anchors in self.anchors_per_location] for channels in per_anchor
        ]
        found = channels_of(outputs)
        if found != expected:
            raise UnsupportedHeadError(
                f"{type(self.head).__name__} inherits from an anchor head but its output is of "
                f"another form: channels {found or 'unreadable'} where {expected} (class logits, "
                "deltas) are expected. Register an adapter of its own with "
                "tbd.predictions.register_adapter."
            )
