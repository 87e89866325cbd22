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

__all__ = [
    "AnchorDeltaAdapter",
    "DensePredictions",
    "PredictionAdapter",
    "UnsupportedHeadError",
    "build_adapter",
    "find_dense_head",
    "register_adapter",
]
