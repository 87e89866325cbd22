"""What every number in the files and tables of studies means: one name, one meaning, one unit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from tbd.evaluation.agreement import HARMONIOUS, IOU_EDGES, iou_share_names
from tbd.evaluation.long_tail import GROUPS

PERCENT, NUMBER, COUNT = "percent", "number", "count"


@dataclass(frozen=True)
class Measure:
    """A quantity that studies report.

    Attributes:
        title: Head of its column.
        definition: What it is.
        unit: ``percent`` in [0, 100], ``count`` a whole number, ``number`` anything else.
        number_format: How tables print it.
    """

    title: str
    definition: str
    unit: str = NUMBER
    number_format: str = ".3f"


def _percent(title: str, definition: str) -> Measure:
    return Measure(title, definition, PERCENT, ".1f")


def _share(title: str, definition: str) -> Measure:
    return Measure(f"{title} (%)", definition, PERCENT, ".1f")


def _count(title: str, definition: str) -> Measure:
    return Measure(title, definition, COUNT, ",.0f")


_AGREEMENT = {
    "harmony_score": Measure(
        "harmony score",
        "mean harmony score 1 − tanh|u − s| of the confident detections, 0 if there are none",
    ),
    "harmonious": _share(
        "harmonious", f"share of confident detections with |u − s| ≤ {HARMONIOUS:g}"
    ),
    "pearson": Measure("Pearson", "correlation of s and u over the confident detections"),
    "spearman": Measure("Spearman", "rank correlation of s and u over the confident detections"),
    "calibration_error": Measure(
        "calibration error",
        "distance of mean s and mean u in ten bins of s, averaged over the confident detections",
    ),
    "mean_confidence": Measure("mean score", "mean s of the confident detections"),
    "mean_iou": Measure("mean IoU", "mean u of the confident detections"),
    **{
        name: _share(
            f"IoU {low:.2f} to {high:.2f}",
            f"share of confident detections whose u lies from {low} to {high}",
        )
        for name, (low, high) in zip(iou_share_names(), pairwise(IOU_EDGES), strict=True)
    },
}

GLOSSARY: dict[str, Measure] = {
    "ap": _percent("AP", "COCO's box AP, over IoU thresholds from 0.50 to 0.95"),
    "ap50": _percent("AP50", "box AP at an IoU of 0.50"),
    "ap75": _percent("AP75", "box AP at an IoU of 0.75"),
    "ap_small": _percent("AP S", "box AP of objects below 32² pixels"),
    "ap_medium": _percent("AP M", "box AP of objects from 32² to 96² pixels"),
    "ap_large": _percent("AP L", "box AP of objects above 96² pixels"),
    "mask_ap_first": _percent("mask AP, first", "mask AP at the first of several validations"),
    "mask_ap": _percent("mask AP", "COCO's mask AP, over IoU thresholds from 0.50 to 0.95"),
    "mask_ap75": _percent("mask AP75", "mask AP at an IoU of 0.75"),
    **{
        f"ap_{group}": _percent(f"AP {group}", f"mean box AP of the {group} classes")
        for group in GROUPS
    },
    "oracle_ap": _percent(
        "AP ranked by IoU", "box AP of the same boxes, ranked by the IoU with their class's truth"
    ),
    "ap_lost": _percent("AP lost", "oracle_ap − ap, what the ranking by score costs"),
    "num_detections": _count("detections", "confident detections"),
    **_AGREEMENT,
    "dense_num_predictions": _count(
        "predictions", "confident predictions of the dense head before NMS"
    ),
    **{
        f"dense_{name}": replace(
            measure,
            definition=measure.definition.replace("detections", "dense predictions before NMS"),
        )
        for name, measure in _AGREEMENT.items()
    },
    "nms_images": _count("images", "images in which boxes were traced through NMS"),
    "nms_objects": _count("objects found", "objects that a kept, confident box of them finds"),
    "nms_better_suppressed": _share(
        "better box suppressed",
        "share of the objects found whose kept box suppressed one that is placed clearly better",
    ),
    "nms_iou_lost": Measure("mean IoU lost", "mean IoU that an object found loses at NMS"),
    "params": Measure("params (M)", "parameters of the detector, in millions", NUMBER, ".2f"),
    "milliseconds": Measure(
        "ms / image", "median time of a prediction on one image, in milliseconds", NUMBER, ".1f"
    ),
    "gflops": Measure(
        "GFLOPs",
        "multiply-adds of a prediction on the first test image, in 10⁹, as MMEngine counts them",
        NUMBER,
        ".2f",
    ),
    "onnx_milliseconds": Measure(
        "ms / image, onnxruntime",
        "median time of the exported detector, from the pixels of the input to detections, on the "
        "CPU, in milliseconds",
        NUMBER,
        ".1f",
    ),
    "step_cost": Measure(
        "step cost",
        "median time of a training step, divided by that of the student without its teacher",
        NUMBER,
        ".2f",
    ),
    "gap_closed": Measure(
        "gap closed (%)",
        "mean gain, as a share of the teacher's ap minus the baseline's",
        PERCENT,
        ".0f",
    ),
    "gain": Measure(
        "gain", "ap minus the baseline's ap of the same seed, mean over the seeds", PERCENT, "+.1f"
    ),
}
"""Name → meaning. s is the score of a detection, u the IoU of its box with the ground truth that it
covers best; a detection is confident if s reaches the threshold of the evaluation."""


def in_studies(values: Mapping[str, float]) -> dict[str, float]:
    """Give the values of an evaluation, where percentages are in [0, 1], the units of studies.

    Args:
        values: Name out of :data:`GLOSSARY` → value.

    Raises:
        KeyError: A name is not in the glossary.
    """
    return {
        name: 100 * value if GLOSSARY[name].unit == PERCENT else value
        for name, value in values.items()
    }
