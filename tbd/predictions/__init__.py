"""From the raw output of a dense head to logits and boxes, one file per head family."""

from tbd.predictions.adapter import (
    PredictionAdapter,
    UnsupportedHeadError,
    build_adapter,
    find_dense_head,
    register_adapter,
)
from tbd.predictions.anchor_delta import AnchorDeltaAdapter
from tbd.predictions.anchor_quality import AnchorQualityAdapter, PAAAdapter
from tbd.predictions.bucketing import BucketingAdapter
from tbd.predictions.center_size import CenterNetAdapter, YOLOXAdapter
from tbd.predictions.dense import DensePredictions, Encoding
from tbd.predictions.distance import DistanceAdapter, FCOSAdapter
from tbd.predictions.distribution import DistributionAdapter
from tbd.predictions.layout import prediction_rows
from tbd.predictions.point import PointAdapter
from tbd.predictions.prior import PriorAdapter
from tbd.predictions.queries import QueryPredictions, QueryReader
from tbd.predictions.reppoints import RepPointsAdapter
from tbd.predictions.roi import RoIPredictions, check_box_head, no_predictions, read_box_head
from tbd.predictions.rows import binary_class_rows, binary_logits, class_rows, regression_rows
from tbd.predictions.runnable_head import RunnableHead
from tbd.predictions.tood import TOODAdapter
from tbd.predictions.towers import HeadFeatures, HeadTowers
from tbd.predictions.yolact import YOLACTAdapter
from tbd.predictions.yolov3 import YOLOv3Adapter

__all__ = [
    "AnchorDeltaAdapter",
    "AnchorQualityAdapter",
    "BucketingAdapter",
    "CenterNetAdapter",
    "DensePredictions",
    "DistanceAdapter",
    "DistributionAdapter",
    "Encoding",
    "FCOSAdapter",
    "HeadFeatures",
    "HeadTowers",
    "PAAAdapter",
    "PointAdapter",
    "PredictionAdapter",
    "PriorAdapter",
    "QueryPredictions",
    "QueryReader",
    "RepPointsAdapter",
    "RoIPredictions",
    "RunnableHead",
    "TOODAdapter",
    "UnsupportedHeadError",
    "YOLACTAdapter",
    "YOLOXAdapter",
    "YOLOv3Adapter",
    "binary_class_rows",
    "binary_logits",
    "build_adapter",
    "check_box_head",
    "class_rows",
    "find_dense_head",
    "no_predictions",
    "prediction_rows",
    "read_box_head",
    "register_adapter",
    "regression_rows",
]
