"""Views of detectors that do not exist, for tests of single terms."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from tbd.distill import GroundTruth, View


def ground_truth(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor] | None = None,
    size: tuple[int, int] = (64, 64),
) -> GroundTruth:
    """Ground truth of images that fill the input; without labels all objects are of class 0."""
    return GroundTruth(
        boxes=list(boxes),
        labels=list(labels or [box.new_zeros(len(box)).long() for box in boxes]),
        ignored=[box.new_zeros(0, 4) for box in boxes],
        image_sizes=(size,) * len(boxes),
        input_size=size,
    )


def view(boxes: Sequence[Tensor] = (), **parts: Any) -> View:
    """A view of images with these objects."""
    return View(ground_truth(boxes), **parts)
