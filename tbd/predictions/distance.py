"""Heads that predict the distances from a point to the four sides of its box."""

from collections.abc import Sequence
from typing import Any

from mmdet.models.dense_heads import (
    AutoAssignHead,
    CenterNetUpdateHead,
    CondInstBboxHead,
    FCOSHead,
    FoveaHead,
    RTMDetHead,
    RTMDetInsHead,
    VFNetHead,
)
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from torch import Tensor

from tbd.precision import at_least_float32
from tbd.predictions.adapter import register_adapter
from tbd.predictions.dense import DensePredictions, Encoding
from tbd.predictions.point import PointAdapter
from tbd.predictions.prior import Branches, check_sigmoid


@register_adapter(RTMDetHead)
class DistanceAdapter(PointAdapter):
    """Reads ``(class logits, distances)``, the distances left, top, right, bottom in pixels."""

    encoding: Encoding = "distances"

    @property
    def _widths(self) -> dict[str, int]:
        return {"class logits": self.head.cls_out_channels, "distances": 4}

    def _in_pixels(self, distances: Sequence[Tensor]) -> list[Tensor]:
        """Undo that the head, in its present mode, gives distances in strides."""
        return [
            at_least_float32(level) * stride
            for level, (stride, _) in zip(distances, self.strides, strict=True)
        ]


@register_adapter(RTMDetInsHead)
class RTMDetInsAdapter(DistanceAdapter):
    """Reads RTMDet's head for instance segmentation but for what it predicts for masks."""

    @property
    def _widths(self) -> dict[str, int]:
        return super()._widths | {"mask kernels": self.head.num_gen_params}

    def __call__(self, outputs: Any) -> DensePredictions:
        """Wrap the head's output without its last item, the features that masks are made of."""
        return super().__call__(outputs[:-1] if isinstance(outputs, tuple) else outputs)

    def _branches(self, outputs: Any) -> Branches:
        return super()._branches(outputs[:2])


@register_adapter(FCOSHead)
class FCOSAdapter(DistanceAdapter):
    """Reads ``(class logits, distances, centerness)``.

    With ``norm_on_bbox`` the distances are in strides while the head trains,
    and in pixels otherwise.

    Raises:
        UnsupportedHeadError: if the head has a softmax classifier, whose
            scores times centerness have no logits.
    """

    def __init__(self, head: BaseDenseHead) -> None:
        super().__init__(head)
        check_sigmoid(head)

    @property
    def _widths(self) -> dict[str, int]:
        return super()._widths | {"centerness": 1}

    def _branches(self, outputs: Any) -> Branches:
        cls_logits, distances, centerness, *_ = outputs
        if self.head.norm_on_bbox and self.head.training:
            distances = self._in_pixels(distances)
        return cls_logits, distances, centerness


@register_adapter(CondInstBboxHead)
class CondInstAdapter(FCOSAdapter):
    """Reads CondInst's box head but for the parameters that it predicts for masks."""

    @property
    def _widths(self) -> dict[str, int]:
        return super()._widths | {"mask parameters": self.head.num_params}


@register_adapter(AutoAssignHead)
class AutoAssignAdapter(FCOSAdapter):
    """Reads ``(class logits, distances, objectness)``.

    Distances are in pixels in either mode, whatever ``norm_on_bbox`` says.
    """

    def _branches(self, outputs: Any) -> Branches:
        cls_logits, distances, objectness = outputs
        return cls_logits, distances, objectness


@register_adapter(CenterNetUpdateHead)
class CenterNetUpdateAdapter(DistanceAdapter):
    """Reads ``(class logits, distances)``, in strides while the head trains, else in pixels."""

    def _branches(self, outputs: Any) -> Branches:
        cls_logits, distances = outputs
        return cls_logits, self._in_pixels(distances) if self.head.training else distances, None


@register_adapter(FoveaHead)
class FoveaAdapter(DistanceAdapter):
    """Reads ``(class logits, log distances)``, relative to the base edge of each level."""

    def _branches(self, outputs: Any) -> Branches:
        cls_logits, log_distances = outputs
        distances = [
            at_least_float32(level).exp() * edge
            for level, edge in zip(log_distances, self.head.base_edge_list, strict=True)
        ]
        return cls_logits, distances, None


@register_adapter(VFNetHead)
class VFNetAdapter(DistanceAdapter):
    """Reads ``(class logits, refined distances)``, with the initial distances between in training.

    The refined distances are those that the head predicts with, and that its
    class logits judge.
    """

    @property
    def _widths(self) -> dict[str, int]:
        initial = {"initial distances": 4} if self.head.training else {}
        return {"class logits": self.head.cls_out_channels, **initial, "refined distances": 4}

    def _branches(self, outputs: Any) -> Branches:
        return outputs[0], outputs[-1], None
