"""Heads that predict a distribution of the distance to each side of the box: GFL and its kin."""

from mmdet.models.dense_heads import GFLHead
from torch import Tensor

from tbd.precision import without_autocast
from tbd.predictions.adapter import register_adapter
from tbd.predictions.anchor_delta import AnchorDeltaAdapter
from tbd.predictions.dense import Encoding


@register_adapter(GFLHead)
class DistributionAdapter(AnchorDeltaAdapter):
    """Reads ``(cls_scores, bbox_preds)``, the latter [N, 4·bins, H, W] per level.

    A distance is the expectation of its distribution over ``reg_max + 1``
    bins, in strides, from the centre of the anchor; Li et al., "Generalized
    Focal Loss" (arXiv 2006.04388).
    """

    encoding: Encoding = "bins"

    @property
    def bins(self) -> int:
        """Bins of the distribution of each side's distance, ``reg_max + 1``."""
        return int(self.head.reg_max) + 1

    @property
    def _widths(self) -> dict[str, int]:
        return {"class logits": self.head.cls_out_channels, "side distributions": 4 * self.bins}

    def _boxes(self, priors: Tensor, regression: Tensor, stride: float) -> Tensor:
        # The head's integral is a matrix product, which autocast would compute in half precision.
        with without_autocast(regression.device):
            distances = self.head.integral(regression) * stride
        return super()._boxes(self.head.anchor_center(priors), distances, stride)
