"""Heads that classify anchors and regress deltas to them: RetinaNet's, the RPN and their kin."""

from collections.abc import Hashable

from mmdet.models.dense_heads import RetinaHead, RetinaSepBNHead, RPNHead, SSDHead, YOLOFHead
from mmdet.models.task_modules import DeltaXYWHBBoxCoder

from tbd.predictions.adapter import register_adapter
from tbd.predictions.dense import Encoding
from tbd.predictions.prior import PriorAdapter


@register_adapter(RetinaHead, RetinaSepBNHead, RPNHead, SSDHead, YOLOFHead)
class AnchorDeltaAdapter(PriorAdapter):
    """Reads ``(cls_scores, bbox_preds)``: lists over levels of [N, A·C, H, W] and [N, A·4, H, W].

    The head's own ``bbox_coder`` makes boxes of anchors and deltas, so heads
    that differ in nothing but the coder (FSAF) are read as well. The base of
    the adapters of every other head with anchors, which override what differs.

    Args:
        head: An anchor head of MMDetection with a ``prior_generator`` and a
            ``bbox_coder``.
    """

    @property
    def prior_layout(self) -> Hashable:
        """Strides and base anchors, rounded to a thousandth of a pixel."""
        anchors = [
            level.double().round(decimals=3).tolist() for level in self._generator.base_anchors
        ]
        return str((self._generator.strides, anchors))

    @property
    def prior_offset(self) -> float:
        """Where in its cell the centre of an anchor lies, by the finest level's first."""
        left, _, right, _ = self._generator.base_anchors[0][0].tolist()
        return (left + right) / 2 / self._generator.strides[0][0]

    @property
    def encoding(self) -> Encoding:
        """Deltas where the head's coder is the usual one."""
        usual = type(self.head.bbox_coder) is DeltaXYWHBBoxCoder
        return "deltas" if usual else "other"

    @property
    def _widths(self) -> dict[str, int]:
        return {"class logits": self.head.cls_out_channels, "deltas": 4}
