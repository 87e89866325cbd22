"""Dense predictions and specs of a pair that does not exist, for tests of single terms."""

from typing import Any

import torch
import views
from torch import Tensor

from tbd.distill import DetectorSpec, DistillationTerm, HeadSpec
from tbd.predictions import DensePredictions

SIZES = [(16, 16), (1, 1)]
STRIDES = ((4, 4), (64, 64))
BOXES = [
    torch.tensor([[14.0, 14, 46, 46]]),
    torch.empty(0, 4),
    torch.tensor([[6.0, 14, 38, 46]]),
]
CLASSES, BINS = 2, 5


def spec(role: str, **head: Any) -> DetectorSpec:
    head = (
        dict(
            encoding="bins",
            bins=BINS,
            num_classes=CLASSES,
            anchors_per_location=(1, 1),
            prior_layout="points",
        )
        | head
    )
    return DetectorSpec(
        role=role,
        type="Detector",
        neck="neck",
        channels=(8, 8),
        strides=STRIDES,
        head=HeadSpec(name="bbox_head", type=f"{role}Head", **head),
    )


def predictions(
    seed: int, anchors: int = 1, dtype: torch.dtype = torch.float64, background: bool = False
) -> DensePredictions:
    """Random logits, distributions and, whatever these say, random boxes."""
    generator = torch.Generator().manual_seed(seed)

    def random(channels: int, size: tuple[int, int]) -> Tensor:
        shape = (len(BOXES), channels, *size)
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    boxes = []
    for height, width in SIZES:
        shape = (len(BOXES), height * width * anchors, 2)
        low = 40 * torch.rand(*shape, generator=generator, dtype=torch.float64)
        boxes.append(torch.cat([low, low + 5 + low.flip(2) / 3], dim=2))
    return DensePredictions(
        [random((CLASSES + background) * anchors, size) for size in SIZES],
        CLASSES,
        decode=lambda: boxes,
        background=background,
        regression=[random(4 * BINS * anchors, size) for size in SIZES],
        encoding="bins",
    )


def losses(
    term: DistillationTerm,
    student: DensePredictions,
    teacher: DensePredictions,
    boxes: list[Tensor] = BOXES,
    **head: Any,
) -> dict[str, Tensor]:
    """What a term finds for this student and this teacher."""
    term.connect(spec("student", **head), spec("teacher", **head))
    return term(views.view(boxes, predictions=student), views.view(boxes, predictions=teacher))


def every_prediction(anchors: int):
    """Level, image, row, column and anchor of each prediction, and its index in the boxes."""
    for level, (height, width) in enumerate(SIZES):
        for image in range(len(BOXES)):
            for y in range(height):
                for x in range(width):
                    for anchor in range(anchors):
                        index = (y * width + x) * anchors + anchor
                        yield level, image, y, x, anchor, index


def overlaps(a: list[float], b: list[float]) -> tuple[float, float]:
    """IoU and generalized IoU of two boxes, from their definitions."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    union = sum(area) - width * height
    around = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    iou = width * height / union
    return iou, iou - (around - union) / around
