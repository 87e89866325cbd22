"""Predictions of a detector as they go into its final NMS."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmdet.models.detectors.base import BaseDetector
from mmengine.config import ConfigDict

_ALL = 1_000_000


@contextmanager
def lifted_nms(detector: BaseDetector) -> Iterator[ConfigDict | None]:
    """Context in which a detector's final NMS suppresses nothing and cuts nothing off.

    What it then predicts are all boxes that reach the score threshold of its test config, with
    the scores that rank them: those of the dense head, of a two-stage detector those of its RoI
    head for the usual proposals.

    Args:
        detector: A plain detector.

    Yields:
        The config of the NMS that is lifted, such as ``{"type": "nms", "iou_threshold": 0.5}``;
        None if the detector has none or one that does more than suppress (soft-NMS, matrix NMS),
        in which case nothing is changed.
    """
    owner: Any = getattr(detector, "roi_head", None) or getattr(detector, "bbox_head", None)
    config = getattr(owner, "test_cfg", None) or {}
    nms = config.get("nms")
    if nms is None or nms.get("type", "nms") != "nms":
        yield None
        return
    # No IoU is greater than 1.
    lifted = {**copy.deepcopy(config), "nms": {**nms, "iou_threshold": 1.0}, "max_per_img": _ALL}
    owner.test_cfg = ConfigDict(lifted)
    try:
        yield ConfigDict(nms)
    finally:
        owner.test_cfg = config
