"""Anchor heads that also judge each box: ATSS, DDOD (centerness or IoU) and PAA (IoU)."""

from typing import Any

from mmdet.models.dense_heads import ATSSHead, DDODHead, PAAHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

from tbd.predictions.adapter import register_adapter
from tbd.predictions.anchor_delta import AnchorDeltaAdapter
from tbd.predictions.prior import Branches, check_sigmoid


@register_adapter(ATSSHead, DDODHead)
class AnchorQualityAdapter(AnchorDeltaAdapter):
    """Reads ``(cls_scores, bbox_preds, qualities)``, the last [N, A, H, W] per level.

    The score that ranks a prediction is the product of both probabilities.

    Raises:
        UnsupportedHeadError: if the head has a softmax classifier.
    """

    def __init__(self, head: BaseDenseHead) -> None:
        super().__init__(head)
        check_sigmoid(head)

    @property
    def _widths(self) -> dict[str, int]:
        return super()._widths | {"quality": 1}

    def _branches(self, outputs: Any) -> Branches:
        cls_logits, regression, quality = outputs
        return cls_logits, regression, quality


@register_adapter(PAAHead)
class PAAAdapter(AnchorQualityAdapter):
    """As :class:`AnchorQualityAdapter`, but PAA ranks by the geometric mean of both."""

    quality_exponent = 0.5
