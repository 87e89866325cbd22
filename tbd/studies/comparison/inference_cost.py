"""What a detector costs where it is used: operations, and time in onnxruntime."""

import statistics
import time
from collections.abc import Sequence

import torch
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate

from tbd.engine.deployment import OnnxDetector, OnnxOptions, UnexportableError
from tbd.engine.deployment.export import describe, make_model
from tbd.predictions import UnsupportedHeadError
from tbd.studies.comparison.measurement import load_student
from tbd.studies.comparison.runs import Run
from tbd.studies.operations import count_multiply_adds

_WARM_UP, _ROUNDS = 2, 10


def count_operations(runs: Sequence[Run]) -> dict[Run, float]:
    """Count the multiply-adds of a prediction on the first test image.

    Args:
        runs: Finished runs.

    Returns:
        Run → operations in 10⁹; see :func:`tbd.studies.operations.count_multiply_adds`.
    """
    counted = {}
    for run in runs:
        dataset = DATASETS.build(run.load().test_dataloader.dataset)
        found = count_multiply_adds(load_student(run), pseudo_collate([dataset[0]]))
        if found is not None:
            counted[run] = found
    return counted


def time_onnx(runs: Sequence[Run]) -> dict[Run, float]:
    """Time an image in onnxruntime, from pixels to detections, on the CPU.

    The detectors take turns, so that what else the machine does slows all of them.

    Args:
        runs: Finished runs.

    Returns:
        Run → median time in milliseconds. What cannot be exported is left out.

    Raises:
        ImportError: onnx or onnxruntime is not installed.
    """
    exported = {}
    for run in runs:
        detector = load_student(run).cpu()
        how = OnnxOptions(end_to_end=True)
        try:
            info = describe(run.load(), detector, {}, run.name, how)
            exported[run] = OnnxDetector(make_model(detector, info, how))
        except (UnexportableError, UnsupportedHeadError, ValueError):
            continue
    times: dict[Run, list[float]] = {run: [] for run in exported}
    for turn in range(_WARM_UP + _ROUNDS):
        for run, detector in exported.items():
            height, width = detector.info.image.size
            feed = {"image": torch.zeros(1, height, width, 3, dtype=torch.uint8).numpy()}
            start = time.perf_counter()
            detector.session.run(None, feed)
            if turn >= _WARM_UP:
                times[run].append(time.perf_counter() - start)
    return {run: 1e3 * statistics.median(found) for run, found in times.items()}
