"""Time of detectors in onnxruntime, from pixels to detections."""

import statistics
import time
from collections.abc import Mapping
from typing import TypeVar

import torch
from mmdet.models.detectors.base import BaseDetector
from mmengine.config import Config

from tbd.engine.config import student_model
from tbd.engine.deployment import OnnxDetector, OnnxOptions, UnexportableError
from tbd.engine.deployment.model import describe, make_model
from tbd.predictions import UnsupportedHeadError

_WARM_UP, _ROUNDS = 2, 10
_Key = TypeVar("_Key")


def export_to_time(cfg: Config, detector: BaseDetector) -> OnnxDetector | str:
    """Export a detector in memory, non-maximum suppression included.

    Args:
        cfg: Config of the detector, or of the distillation that it is the student of.
        detector: The detector, on the CPU.

    Returns:
        The exported detector, or why there is none.

    Raises:
        ImportError: onnx or onnxruntime is not installed.
    """
    plain = Config(cfg.to_dict())
    plain.model = student_model(cfg)
    how = OnnxOptions(end_to_end=True)
    try:
        info = describe(plain, detector, {}, "", how)
        return OnnxDetector(make_model(detector, info, how))
    except (UnexportableError, UnsupportedHeadError, ValueError) as error:
        return str(error)


def onnx_latencies(exported: Mapping[_Key, OnnxDetector]) -> dict[_Key, float]:
    """Time an image in onnxruntime on the CPU.

    The detectors take turns, so that what else the machine does slows all of them.

    Args:
        exported: The detectors by any key.

    Returns:
        Key → median time in milliseconds.
    """
    times: dict[_Key, list[float]] = {key: [] for key in exported}
    for turn in range(_WARM_UP + _ROUNDS):
        for key, detector in exported.items():
            height, width = detector.info.image.size
            feed = {"image": torch.zeros(1, height, width, 3, dtype=torch.uint8).numpy()}
            start = time.perf_counter()
            detector.session.run(None, feed)
            if turn >= _WARM_UP:
                times[key].append(time.perf_counter() - start)
    return {key: 1e3 * statistics.median(found) for key, found in times.items()}
