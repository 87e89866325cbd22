"""From the raw output of a dense head to logits and boxes, one file per head family."""

from tbd.predictions.adapter import (
    PredictionAdapter,
    UnsupportedHeadError,
    build_adapter,
    find_dense_head,
    register_adapter,
)
from tbd.predictions.anchor_delta import AnchorDeltaAdapter
from tbd.predictions.dense import DensePredictions
from tbd.predictions.roi import RoIPredictions, check_box_head, read_box_head

__all__ = [
    "AnchorDeltaAdapter",
    "DensePredictions",
    "PredictionAdapter",
    "RoIPredictions",
    "UnsupportedHeadError",
    "build_adapter",
    "check_box_head",
    "find_dense_head",
    "read_box_head",
    "register_adapter",
]
