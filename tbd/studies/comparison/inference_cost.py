"""What a detector costs where it is used: operations, and time in onnxruntime."""

from collections.abc import Sequence

from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate

from tbd.studies.comparison.measurement import load_student
from tbd.studies.comparison.runs import Run
from tbd.studies.onnx_latency import export_to_time, onnx_latencies
from tbd.studies.operations import count_multiply_adds


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

    Args:
        runs: Finished runs.

    Returns:
        Run → median time in milliseconds, see
        :func:`tbd.studies.onnx_latency.onnx_latencies`. What cannot be exported is left out.

    Raises:
        ImportError: onnx or onnxruntime is not installed.
    """
    found = {run: export_to_time(run.load(), load_student(run).cpu()) for run in runs}
    return onnx_latencies({run: e for run, e in found.items() if not isinstance(e, str)})
