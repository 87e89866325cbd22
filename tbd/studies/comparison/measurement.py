"""What a finished run is measured by: its metrics, its size, its speed."""

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device

from tbd.compat import load_checkpoint
from tbd.detectors.model_config import build_detector
from tbd.detectors.weights import load_strictly
from tbd.engine.config import student_model
from tbd.engine.config_options import parse_options
from tbd.engine.evaluation import evaluate
from tbd.evaluation.long_tail import GROUPS
from tbd.studies.comparison.class_aps import class_aps, with_classwise
from tbd.studies.comparison.runs import Run
from tbd.studies.comparison.scalars import read_scalars
from tbd.studies.glossary import in_studies

_HARMONY = (
    "harmony_score",
    "pearson",
    "calibration_error",
    "mean_confidence",
    "mean_iou",
    "ap_lost",
)
_TIMED_IMAGES = 50
_WARM_UP = 5


def measure(
    run: Run, options: Mapping[str, Any] | None = None, folder: str = "test"
) -> dict[str, float | None]:
    """Evaluate a trained run on its test data and count its parameters.

    Args:
        run: The run, trained to its end.
        options: Merged over the run's own, to test on something else.
        folder: Where the evaluation writes to, in the run's folder.

    Returns:
        Its metrics, see :data:`tbd.studies.comparison.report.METRICS`.
    """
    values = evaluate(
        run.config,
        run.final_checkpoint(),
        str(run.folder / folder),
        with_classwise({**parse_options(run.options), **(options or {})}, run.load()),
    )
    found = with_nothing_found(values, run.load().test_evaluator)
    metrics = {
        **standard_names(found, first_validation(run.folder)),
        **class_aps(values),
    }
    parameters = load_student(run).parameters()
    return {**metrics, "params": sum(parameter.numel() for parameter in parameters) / 1e6}


def time_inference(runs: Sequence[Run]) -> dict[Run, float]:
    """Time the inference of finished runs on single test images, data loading excluded.

    The detectors take turns image by image, so that what else the machine does slows all of them.

    Args:
        runs: Finished runs; each sees its own test data.

    Returns:
        Run → median time per image in milliseconds.
    """
    models = {run: load_student(run) for run in runs}
    datasets = {run: DATASETS.build(run.load().test_dataloader.dataset) for run in runs}
    times: dict[Run, list[float]] = {run: [] for run in runs}
    for index in range(_WARM_UP + _TIMED_IMAGES):
        for run, model in models.items():
            batch = pseudo_collate([datasets[run][index % len(datasets[run])]])
            start = time.perf_counter()
            predict(model, batch)
            times[run].append(time.perf_counter() - start)
    return {run: 1e3 * statistics.median(found[_WARM_UP:]) for run, found in times.items()}


def load_student(run: Run) -> BaseDetector:
    """Load the detector that a finished run trained, of a distillation its student."""
    checkpoint = run.final_checkpoint()
    model = build_detector(student_model(run.load()))
    load_strictly(model, load_checkpoint(checkpoint), checkpoint)
    return model.to(get_device()).eval()


@torch.no_grad()
def predict(model: BaseDetector, batch: dict[str, Any]) -> list[Any]:
    """Predict the samples of a batch, and wait until they are there."""
    samples: list[Any] = model.test_step(batch)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return samples


def first_validation(folder: Path) -> dict[str, float]:
    """Read the first of several validations from a training's log; empty if there was but one."""
    validations: dict[int, dict[str, float]] = {}
    for record in read_scalars(folder):
        if any(key.startswith("coco/") for key in record):
            validations[record["step"]] = record
    return validations[min(validations)] if len(validations) > 1 else {}


def with_nothing_found(values: Mapping[str, float], evaluators: Any) -> dict[str, float]:
    """Add an AP of 0 where COCO's evaluators had no detection to evaluate.

    They then report nothing, and a detector that finds nothing would be left out of the mean.

    Args:
        values: What the evaluators reported.
        evaluators: Their configs, one or several.
    """
    found = dict(values)
    for evaluator in evaluators if isinstance(evaluators, list | tuple) else [evaluators]:
        if not str(evaluator["type"]).endswith("CocoMetric"):
            continue
        metrics = evaluator.get("metric", "bbox")
        for kind in [metrics] if isinstance(metrics, str) else metrics:
            if kind in ("bbox", "segm") and f"coco/{kind}_mAP" not in found:
                found |= {f"coco/{kind}_mAP{ending}": 0.0 for ending in ("", "_50", "_75")}
    return found


def standard_names(
    values: Mapping[str, float], first: Mapping[str, float]
) -> dict[str, float | None]:
    """Pick the reported metrics and give them their names and units in studies.

    Args:
        values: What the evaluators reported, with their prefixes.
        first: The same of the first of several validations.

    Returns:
        Name in the glossary → value; None where nothing was reported, or COCO's −1, which stands
        for no ground truth of that kind.
    """
    coco = {
        "ap": "bbox_mAP",
        "ap50": "bbox_mAP_50",
        "ap75": "bbox_mAP_75",
        "ap_small": "bbox_mAP_s",
        "ap_medium": "bbox_mAP_m",
        "ap_large": "bbox_mAP_l",
        "mask_ap": "segm_mAP",
        "mask_ap75": "segm_mAP_75",
        **{f"ap_{group}": f"bbox_mAP_{group}" for group in GROUPS},
    }
    found = {name: values.get(f"coco/{key}", -1) for name, key in coco.items()}
    found["mask_ap_first"] = first.get("coco/segm_mAP", -1)
    reported = in_studies(
        {name: value for name, value in found.items() if value >= 0}
        | {name: values[f"harmony/{name}"] for name in _HARMONY if f"harmony/{name}" in values}
    )
    return {name: reported.get(name) for name in (*found, *_HARMONY)}
