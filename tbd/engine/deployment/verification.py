"""Comparison of an exported graph with MMDetection's own predictions."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from torch import nn

from tbd.engine.deployment.image_input import ImageInput, as_input
from tbd.engine.deployment.onnx_detector import Detected, OnnxDetector

_SAME_BOX = 2.0
_SAME_SCORE = 0.05
_ROUNDS = 10


@dataclass(frozen=True)
class Agreement:
    """How well two sets of detections agree, summed up over images.

    Attributes:
        detections: Number of MMDetection's.
        missed: Those of them without a detection of the same class, at most 2 pixels and 0.05 of
            score away, in the other set.
        extra: Detections of the other set that are none of MMDetection's.
        box: Largest difference of a coordinate in pixels, among those that were found.
        score: Largest difference of their scores.
    """

    detections: int = 0
    missed: int = 0
    extra: int = 0
    box: float = 0.0
    score: float = 0.0

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(
            self.detections + other.detections,
            self.missed + other.missed,
            self.extra + other.extra,
            max(self.box, other.box),
            max(self.score, other.score),
        )


@dataclass(frozen=True)
class Latency:
    """Median seconds of one image, resized and on the CPU already.

    Attributes:
        torch: MMDetection's detector, from the normalised image to its detections.
        onnx: onnxruntime on the exported graph.
        threads: Of PyTorch.
    """

    torch: float
    onnx: float
    threads: int


def agreement(expected: Detected, found: Detected) -> Agreement:
    """Pair the detections of an image by class and place, the surest first."""
    free = np.ones(len(found.scores), bool)
    missed, box, score = 0, 0.0, 0.0
    for its_box, its_score, label in zip(
        expected.boxes, expected.scores, expected.labels, strict=True
    ):
        away = np.abs(found.boxes - its_box).max(axis=1, initial=0.0)
        differs = np.abs(found.scores - its_score)
        fits = free & (found.labels == label) & (away <= _SAME_BOX) & (differs <= _SAME_SCORE)
        if not fits.any():
            missed += 1
            continue
        best = int(np.where(fits, away + differs, np.inf).argmin())
        free[best] = False
        box, score = max(box, float(away[best])), max(score, float(differs[best]))
    return Agreement(len(expected.scores), missed, int(free.sum()), box, score)


@torch.no_grad()
def predict_prepared(detector: BaseDetector, prepared: np.ndarray, spec: ImageInput) -> Detected:
    """MMDetection's own prediction for an image that is resized and padded, [H, W, 3].

    The padding counts as a part of the image, as it does for the graph, but for what a graph of any
    size adds.
    """
    height, width = prepared.shape[:2]
    inputs = spec.pad(as_input([prepared], spec))
    padded = int(inputs.shape[2]), int(inputs.shape[3])
    size = dict(
        img_shape=(height, width),
        ori_shape=(height, width),
        pad_shape=padded,
        batch_input_shape=padded,
        scale_factor=(1.0, 1.0),
        # CenterNet's, which crops.
        border=np.zeros(4, np.float32),
    )
    sample = DetDataSample(metainfo=size)
    (result,) = detector.predict(inputs, [sample], rescale=False)
    found = result.pred_instances
    return Detected(*(found[key].numpy() for key in ("bboxes", "scores", "labels")))


@torch.no_grad()
def raw_agreement(
    graph: nn.Module, exported: OnnxDetector, images: Sequence[np.ndarray]
) -> tuple[float, float]:
    """Compare all boxes and scores before suppression, on resized and padded images.

    Args:
        graph: The detector's graph in PyTorch.
        exported: What became of it.
        images: [H, W, 3] each.

    Returns:
        Largest difference of a coordinate in pixels, and of a score. Of coordinates beyond 1,000
        pixels a thousandth of a difference counts for each: a box far outside the image is
        exact to float32's precision only.
    """
    largest = [0.0, 0.0]
    for prepared in images:
        expected = graph(as_input([prepared], exported.info.image))
        for index, (ours, theirs) in enumerate(
            zip(expected, exported.outputs(prepared), strict=True)
        ):
            away = np.abs(ours.numpy() - theirs)
            if index == 0:
                away /= np.maximum(np.abs(theirs) / 1000, 1)
            largest[index] = max(largest[index], float(away.max()))
    return largest[0], largest[1]


def compare_on(
    detector: BaseDetector, exported: OnnxDetector, images: Sequence[np.ndarray]
) -> Agreement:
    """Compare detections on images that are resized and padded."""
    spec = exported.info.image
    total = Agreement()
    for prepared in images:
        pixels = np.rint(prepared) if exported.info.end_to_end else prepared
        total += agreement(predict_prepared(detector, pixels, spec), exported.detect(pixels))
    return total


def measure_latency(
    detector: BaseDetector, exported: OnnxDetector, prepared: np.ndarray
) -> Latency:
    """Measure both on one image, in turns."""
    feed = exported.feed(prepared)
    spec = exported.info.image
    runs: tuple[Callable[[], object], ...] = (
        lambda: predict_prepared(detector, prepared, spec),
        lambda: exported.session.run(None, feed),
    )
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(_ROUNDS + 1):
        for run, measured in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            if turn:
                measured.append(time.perf_counter() - start)
    medians = [statistics.median(measured) for measured in times]
    return Latency(medians[0], medians[1], torch.get_num_threads())
