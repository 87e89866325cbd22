"""TOOD, whose head aligns its probabilities and decodes its boxes itself."""

from typing import Any

from mmdet.models.dense_heads import TOODHead
from torch import Tensor

from tbd.predictions.adapter import register_adapter
from tbd.predictions.anchor_delta import AnchorDeltaAdapter
from tbd.predictions.dense import Encoding
from tbd.predictions.logits import logits_of
from tbd.predictions.prior import Branches


@register_adapter(TOODHead)
class TOODAdapter(AnchorDeltaAdapter):
    """Reads ``(class probabilities, boxes)``, of the anchor-free and the anchor-based variant.

    Probabilities are the geometric mean of two sigmoids, of which the logits
    are taken. Boxes are decoded, as the head samples them at shifted locations
    (Feng et al., arXiv 2108.07755, section 3.1); they are in strides.
    """

    encoding: Encoding = "other"

    @property
    def _widths(self) -> dict[str, int]:
        return {"class probabilities": self.head.cls_out_channels, "boxes": 4}

    def _branches(self, outputs: Any) -> Branches:
        probabilities, boxes = outputs
        return [logits_of(level) for level in probabilities], boxes, None

    def _boxes(self, priors: Tensor, regression: Tensor, stride: float) -> Tensor:
        return regression * stride
