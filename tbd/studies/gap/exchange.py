"""A student that detects with its teacher's scores, or with its teacher's boxes."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from tbd.engine.deployment.dense_graph import DenseDetections, DenseGraph
from tbd.evaluation.harmony import HarmonyMetric
from tbd.predictions import DensePredictions, build_adapter, find_dense_head
from tbd.studies.harmony.ground_truth import GroundTruth


@dataclass(frozen=True)
class Exchange:
    """AP in percent, with the thresholds and the suppression of the student's ``test_cfg``.

    Attributes:
        own: Of the student.
        teachers_scores: Of its boxes with the scores that the teacher gives at the same priors.
        teachers_boxes: Of the teacher's boxes with the student's scores.
        teacher: Of the teacher's boxes and scores.
    """

    own: float
    teachers_scores: float
    teachers_boxes: float
    teacher: float


def check_exchangeable(student: BaseDetector, teacher: BaseDetector) -> None:
    """Make sure that the same index means the same prediction of both.

    Raises:
        UnexportableError: if the student's head chooses detections in a way of its own.
        UnsupportedHeadError: if one has no dense head that can be read.
        ValueError: if one is two-stage, or if classes or priors differ.
    """
    heads = []
    for side, detector in (("student", student), ("teacher", teacher)):
        name, head = find_dense_head(detector)
        if name == "rpn_head":
            raise ValueError(
                f"the {side}, a {type(detector).__name__}, detects in a second stage, on proposals "
                "of its own; scores and boxes are exchanged between one-stage detectors."
            )
        heads.append(build_adapter(head))
    counts = [adapter.num_classes for adapter in heads]
    if counts[0] != counts[1]:
        raise ValueError(
            f"the student tells apart {counts[0]} classes and the teacher {counts[1]}, so their "
            "scores cannot be exchanged."
        )
    if heads[0].prior_layout != heads[1].prior_layout:
        names = [type(adapter.head).__name__ for adapter in heads]
        raise ValueError(
            f"the student's {names[0]} and the teacher's {names[1]} predict at different anchors "
            "or points, so their predictions cannot be exchanged one by one."
        )


@torch.no_grad()
def measure_exchange(
    student: BaseDetector, teacher: BaseDetector, loader: Any, progress: Any = iter
) -> Exchange:
    """Measure a student with its own predictions, with parts of its teacher's, and with all.

    Args:
        student: A one-stage detector in eval mode, on the device that it is to run on.
        teacher: Its teacher, on the same device.
        loader: The data through the student's test pipeline. Images of a batch are padded to one
            size, on which the AP depends a little: give the batches of the evaluation that the
            result is to be compared to.
        progress: Wraps the loader, to show how far it is.

    Raises:
        ValueError: See :func:`check_exchangeable`.
    """
    check_exchangeable(student, teacher)
    graphs = DenseGraph(student), DenseGraph(teacher)
    detections = DenseDetections(graphs[0])
    truth = GroundTruth(loader.dataset)
    combinations = ((0, 0), (1, 0), (0, 1), (1, 1))
    metrics = []
    for _ in combinations:
        metrics.append(HarmonyMetric())
        metrics[-1].dataset_meta = loader.dataset.metainfo
    for batch in progress(loader):
        predictions, images = [], []
        for graph in graphs:
            data = graph.detector.data_preprocessor(copy.deepcopy(batch), False)
            predictions.append(graph.predict(data["inputs"]))
            images.append(data["inputs"])
        for index, sample in enumerate(data["data_samples"]):
            truth.put_into(sample)
            height, width = sample.img_shape
            # Boxes are clipped to the image, not to what pads it.
            image = images[0][index : index + 1, :, :height, :width]
            for (scores, boxes), metric in zip(combinations, metrics, strict=True):
                mixed = _exchange(predictions[scores], predictions[boxes], index)
                found = _in_original_pixels(detections.detect(mixed, image), sample)
                sample.pred_instances = found
                metric.process(None, [sample.to_dict()])
    size = len(loader.dataset)
    return Exchange(*(100 * metric.evaluate(size)["harmony/ap"] for metric in metrics))


def _exchange(scores: DensePredictions, boxes: DensePredictions, index: int) -> DensePredictions:
    """Predictions on one image with the scores of one detector and the boxes of another."""

    def of_image(levels: Sequence[Tensor]) -> list[Tensor]:
        return [level[index : index + 1] for level in levels]

    return DensePredictions(
        of_image(scores.cls_logits),
        scores.num_classes,
        lambda: of_image(boxes.boxes),
        background=scores.background,
        quality=None if scores.quality is None else of_image(scores.quality),
        quality_exponent=scores.quality_exponent,
    )


def _in_original_pixels(
    detected: tuple[Tensor, Tensor, Tensor], sample: DetDataSample
) -> InstanceData:
    boxes, scores, labels = (part[0] for part in detected)
    there = labels >= 0
    scale = boxes.new_tensor(sample.scale_factor).repeat(2)
    return InstanceData(bboxes=boxes[there] / scale, scores=scores[there], labels=labels[there])
