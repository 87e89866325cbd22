"""YOLOv3's head, whose boxes, objectness and classes share one map per level."""

from typing import Any

import torch
from mmdet.models.dense_heads import YOLOV3Head
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from tbd.predictions.adapter import register_adapter
from tbd.predictions.anchor_delta import AnchorDeltaAdapter
from tbd.predictions.prior import Branches


@register_adapter(YOLOV3Head)
class YOLOv3Adapter(AnchorDeltaAdapter):
    """Reads ``(pred_maps,)``: per level, the coarsest first, [N, A·(5 + C), H, W].

    The channels of an anchor are x, y (through a sigmoid, in strides), the
    logarithms of width and height relative to the anchor, objectness, classes.
    Objectness is the quality by which class scores are multiplied.
    """

    @property
    def background(self) -> bool:
        """False: the classes are independent sigmoids."""
        return False

    @property
    def _widths(self) -> dict[str, int]:
        return {"boxes, objectness and class logits": self.head.num_attrib}

    def _branches(self, outputs: Any) -> Branches:
        # Not unflatten, whose ONNX form fixes the size of the image.
        anchors = [
            level.reshape(level.shape[0], -1, self.head.num_attrib, *level.shape[-2:])
            for level in outputs[0]
        ]
        return (
            [level[:, :, 5:].flatten(1, 2) for level in anchors],
            [level[:, :, :4].flatten(1, 2) for level in anchors],
            [level[:, :, 4] for level in anchors],
        )

    def _boxes(self, priors: Tensor, regression: Tensor, stride: float) -> Tensor:
        encoded = torch.cat([regression[:, :2].sigmoid(), regression[:, 2:]], dim=1)
        return get_box_tensor(self.head.bbox_coder.decode(priors, encoded, stride))
