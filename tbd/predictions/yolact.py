"""YOLACT's head: anchors, deltas and, for its masks, coefficients."""

from typing import Any

from mmdet.models.dense_heads import YOLACTHead

from tbd.predictions.adapter import register_adapter
from tbd.predictions.anchor_delta import AnchorDeltaAdapter
from tbd.predictions.prior import Branches


@register_adapter(YOLACTHead)
class YOLACTAdapter(AnchorDeltaAdapter):
    """Reads ``(cls_scores, bbox_preds, coeff_preds)``; no box depends on the last."""

    @property
    def _widths(self) -> dict[str, int]:
        return super()._widths | {"mask coefficients": self.head.num_protos}

    def _branches(self, outputs: Any) -> Branches:
        cls_logits, regression, _ = outputs
        return cls_logits, regression, None
