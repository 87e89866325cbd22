"""What an evaluation by COCO's average precision costs, by each way to compute it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmdet.evaluation.metrics import CocoMetric
from mmengine.evaluator import BaseMetric
from torch import Tensor

from tbd.evaluation import FasterCocoMetric, HarmonyMetric

CLASSES = 80
BOXES = 7
"""Mean number of objects in an image of COCO."""
DETECTIONS = 100


def measure_evaluations(images: int) -> Iterator[tuple[str, float, float]]:
    """Time metrics on the same detections: some near objects, some anywhere.

    Args:
        images: Number of images; COCO's validation set has 5,000.

    Yields:
        Name of the metric, seconds of all that it does, and the AP that it found.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.json"
        samples = write_annotations(path, images)
        metrics: dict[str, BaseMetric] = {
            "CocoMetric": CocoMetric(ann_file=str(path)),
            "FasterCocoMetric": FasterCocoMetric(ann_file=str(path)),
            "HarmonyMetric": HarmonyMetric(ann_file=str(path)),
        }
        for name, metric in metrics.items():
            metric.dataset_meta = dict(classes=[f"class {index}" for index in range(CLASSES)])
            start = time.process_time()
            metric.process({}, samples)
            values = metric.evaluate(size=images)
            seconds = time.process_time() - start
            ap = values.get("coco/bbox_mAP", values.get("harmony/ap"))
            yield name, seconds, float(ap)


def write_annotations(path: Path, images: int) -> list[dict[str, Any]]:
    """Write annotations in COCO's format, of objects at random.

    Args:
        path: Where to.
        images: Number of images.

    Returns:
        For each image a sample with detections, as an evaluator gets it.
    """
    generator = torch.Generator().manual_seed(0)
    annotations: list[dict[str, Any]] = []
    samples = []
    for image in range(1, images + 1):
        boxes = _boxes(BOXES, generator)
        labels = torch.randint(0, CLASSES, (BOXES,), generator=generator)
        for box, label in zip(boxes.tolist(), labels.tolist(), strict=True):
            left, top, right, bottom = box
            extent = [right - left, bottom - top]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image,
                    category_id=label + 1,
                    bbox=[left, top, *extent],
                    area=extent[0] * extent[1],
                    iscrowd=0,
                )
            )
        near = torch.arange(DETECTIONS) % BOXES
        found = boxes[near] + 10 * torch.randn(DETECTIONS, 4, generator=generator)
        found[:, 2:] = torch.maximum(found[:, 2:], found[:, :2] + 1)
        found[DETECTIONS // 2 :] = _boxes(DETECTIONS - DETECTIONS // 2, generator)
        predictions = dict(
            bboxes=found,
            labels=labels[near],
            scores=torch.rand(DETECTIONS, generator=generator),
        )
        samples.append(dict(img_id=image, ori_shape=(480, 640), pred_instances=predictions))
    content = dict(
        images=[dict(id=i, width=640, height=480) for i in range(1, images + 1)],
        annotations=annotations,
        categories=[dict(id=i + 1, name=f"class {i}") for i in range(CLASSES)],
    )
    path.write_text(json.dumps(content))
    return samples


def _boxes(number: int, generator: torch.Generator) -> Tensor:
    low = torch.rand(number, 2, generator=generator) * torch.tensor([400.0, 300.0])
    return torch.cat([low, low + 20 + 150 * torch.rand(number, 2, generator=generator)], dim=1)
