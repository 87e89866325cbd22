"""RepPoints: boxes around sets of points."""

from typing import Any

from mmdet.models.dense_heads import RepPointsHead
from torch import Tensor

from tbd.predictions.adapter import register_adapter
from tbd.predictions.point import PointAdapter
from tbd.predictions.prior import Branches


@register_adapter(RepPointsHead)
class RepPointsAdapter(PointAdapter):
    """Reads ``(class logits, boxes)``, in training ``(class logits, initial, refined points)``.

    Boxes and points are in strides, relative to the location. The box of a
    location is that of its refined points (Yang et al., arXiv 1904.11490,
    section 3.2).
    """

    @property
    def _widths(self) -> dict[str, int]:
        coordinates = 2 * self.head.num_points
        boxes = (
            {"initial points": coordinates, "refined points": coordinates}
            if self.head.training
            else {"boxes": 4}
        )
        return {"class logits": self.head.cls_out_channels, **boxes}

    def _branches(self, outputs: Any) -> Branches:
        return outputs[0], outputs[-1], None

    def _boxes(self, priors: Tensor, regression: Tensor, stride: float) -> Tensor:
        are_points = regression.shape[1] != 4
        boxes = self.head.points2bbox(regression) if are_points else regression
        return priors.repeat(1, 2) + boxes * stride
