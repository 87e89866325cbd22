"""Heads that predict the centre and the size of a box: YOLOX's and CenterNet's."""

from typing import Any

import torch
from mmdet.models.dense_heads import CenterNetHead, YOLOXHead
from mmdet.models.task_modules.prior_generators import MlvlPointGenerator
from torch import Tensor

from tbd.predictions.adapter import register_adapter
from tbd.predictions.logits import logits_of
from tbd.predictions.point import PointAdapter
from tbd.predictions.prior import Branches


@register_adapter(YOLOXHead)
class YOLOXAdapter(PointAdapter):
    """Reads ``(class logits, boxes, objectness)``.

    A box is the offset of its centre from the point, in strides, and the
    logarithms of its width and height in strides.
    """

    @property
    def _widths(self) -> dict[str, int]:
        return {"class logits": self.num_classes, "boxes": 4, "objectness": 1}

    def _branches(self, outputs: Any) -> Branches:
        cls_logits, boxes, objectness = outputs
        return cls_logits, boxes, objectness

    def _boxes(self, priors: Tensor, regression: Tensor, stride: float) -> Tensor:
        offsets, log_sizes = regression.split(2, dim=1)
        return _around(priors + offsets * stride, log_sizes.exp() * stride)


@register_adapter(CenterNetHead)
class CenterNetAdapter(PointAdapter):
    """Reads ``(heatmaps, sizes, offsets)`` of the one level of *Objects as Points*.

    Every cell counts as a prediction, those too that are no peak of a heatmap
    and that the head itself leaves out (Zhou et al., arXiv 1904.07850, section
    4). A heatmap is a probability, of which the logits are taken. Sizes and
    offsets are in strides.
    """

    stride = 4
    """Pixels per cell, of the paper and of every config of MMDetection; the head does not know."""

    @property
    def _generator(self) -> MlvlPointGenerator:
        # Offsets are measured from the upper left corner of a cell.
        return MlvlPointGenerator([self.stride], offset=0)

    @property
    def background(self) -> bool:
        """False: a heatmap has no channel of the background."""
        return False

    @property
    def _widths(self) -> dict[str, int]:
        return {"heatmaps": self.num_classes, "sizes": 2, "offsets": 2}

    def _branches(self, outputs: Any) -> Branches:
        heatmaps, sizes, offsets = outputs
        boxes = [torch.cat(pair, dim=1) for pair in zip(offsets, sizes, strict=True)]
        return [logits_of(level) for level in heatmaps], boxes, None

    def _boxes(self, priors: Tensor, regression: Tensor, stride: float) -> Tensor:
        offsets, sizes = regression.split(2, dim=1)
        return _around(priors + offsets * stride, sizes * stride)


def _around(centers: Tensor, sizes: Tensor) -> Tensor:
    return torch.cat([centers - sizes / 2, centers + sizes / 2], dim=1)
