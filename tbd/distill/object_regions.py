"""Which locations of a pyramid stand for an object, by the ground truth alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from tbd.distill.ground_truth import GroundTruth
from tbd.distill.locations import by_level, location_centers
from tbd.distill.spec import DetectorSpec
from tbd.distill.view import View

SCALE = 8.0
"""Side of the square around a location whose overlap with objects counts, in strides."""

Overlap = Literal["iou", "iof"]
"""What an overlap is divided by: the area of both, or of the square around the location."""

CANDIDATES = 9
"""Nearest locations of each level that are looked at for an object."""


@dataclass(frozen=True)
class ObjectRegions:
    """Where in the pyramid the objects are.

    Attributes:
        main: Per level, whether a location stands for an object [N, H, W], as
            Adaptive Training Sample Selection assigns them.
        valuable: Per level, for locations of the valuable localization region
            their IoU with the object, elsewhere 0 [N, H, W].
    """

    main: tuple[Tensor, ...]
    valuable: tuple[Tensor, ...]

    def count(self) -> Tensor:
        """Number of main locations of the batch, a scalar."""
        return torch.stack([level.sum() for level in self.main]).sum().float()


def find_object_regions(
    gt: GroundTruth,
    sizes: Sequence[tuple[int, int]],
    strides: Sequence[tuple[float, float]],
    offset: float = 0.5,
    gamma: float = 0.25,
    overlap: Overlap = "iou",
) -> ObjectRegions:
    """Tell locations that stand for an object from those that do not.

    Each location is represented by a square of 8 strides. *Main* is what ATSS
    (Zhang et al., arXiv 1912.02424, algorithm 1) makes positive: of the nine
    nearest locations of every level those whose IoU with the object is at
    least α_pos = mean + standard deviation of the candidates' IoU, and whose
    centre lies in the object. *Valuable* is every location whose DIoU with an
    object is in [γ·α_pos, α_pos); Zheng et al. (arXiv 2102.12252, algorithm 1).

    Args:
        gt: Ground truth of the N images.
        sizes: Height and width of each level.
        strides: Input pixels per cell of each level, (vertical, horizontal).
        offset: Where in its cell the centre of a location lies, 0.5 in the middle.
        gamma: The γ, in [0, 1].
        overlap: ``"iof"`` puts, in the DIoU of the valuable region, the area of
            the square in place of the union, as the code of the paper does.

    Returns:
        The regions.
    """
    points = location_centers(sizes, strides, offset, gt.boxes[0].device)
    scales = [
        level.new_tensor([horizontal, vertical]).expand_as(level) * SCALE / 2
        for level, (vertical, horizontal) in zip(points, strides, strict=True)
    ]
    counts = [len(level) for level in points]
    centers, halves = torch.cat(points), torch.cat(scales)
    squares = torch.cat([centers - halves, centers + halves], dim=1)
    images = [_image_regions(centers, squares, counts, boxes, gamma, overlap) for boxes in gt.boxes]
    main, valuable = (by_level(part, sizes) for part in zip(*images, strict=True))
    return ObjectRegions(main, valuable)


def object_regions(
    view: View, spec: DetectorSpec, gamma: float = 0.25, overlap: Overlap = "iou"
) -> ObjectRegions:
    """Regions at the locations of a view's dense predictions, found once per step.

    Args:
        view: A view with predictions.
        spec: Describes its detector, with the levels that the view shows.
        gamma: See :func:`find_object_regions`.
        overlap: Likewise.
    """
    assert view.predictions is not None
    assert spec.head is not None
    sizes = [(level.shape[2], level.shape[3]) for level in view.predictions.cls_logits]
    strides, offset = spec.prior_strides, spec.head.prior_offset
    return view.cached(
        ("object_regions", strides, offset, gamma, overlap),
        lambda: find_object_regions(view.gt, sizes, strides, offset, gamma, overlap),
    )


def _image_regions(
    centers: Tensor,
    squares: Tensor,
    counts: Sequence[int],
    boxes: Tensor,
    gamma: float,
    overlap: Overlap,
) -> tuple[Tensor, Tensor]:
    main = torch.zeros(len(squares), dtype=torch.bool, device=squares.device)
    if len(boxes) == 0:
        return main, squares.new_zeros(len(squares))
    boxes = boxes.to(squares.dtype)
    iou = bbox_overlaps(squares, boxes)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    distance = torch.cdist(centers, middles)
    nearest = torch.cat(
        [
            level.topk(min(CANDIDATES, len(level)), dim=0, largest=False).indices + start
            for level, start in zip(distance.split(list(counts)), _starts(counts), strict=True)
        ]
    )
    candidates = iou.gather(0, nearest)
    threshold = candidates.mean(dim=0)
    if len(candidates) > 1:
        threshold = threshold + candidates.std(dim=0)

    is_near = torch.zeros_like(iou, dtype=torch.bool).scatter(0, nearest, True)
    left_top, right_bottom = centers[:, None] - boxes[:, :2], boxes[:, 2:] - centers[:, None]
    is_inside = torch.cat([left_top, right_bottom], dim=2).amin(dim=2) > 0.01
    main = (is_near & is_inside & (iou >= threshold)).any(dim=1)

    share = bbox_overlaps(squares, boxes, mode="iof") if overlap == "iof" else iou
    diou = _distance_iou(share, distance, squares, boxes)
    is_valuable = (diou >= gamma * threshold) & (diou < threshold)
    return main, torch.where(is_valuable, iou, 0.0).amax(dim=1)


def _distance_iou(iou: Tensor, distance: Tensor, squares: Tensor, boxes: Tensor) -> Tensor:
    """IoU less the squared distance of the centres over that of the enclosing box's corners."""
    low = torch.minimum(squares[:, None, :2], boxes[:, :2])
    high = torch.maximum(squares[:, None, 2:], boxes[:, 2:])
    return iou - distance.square() / (high - low).square().sum(dim=2)


def _starts(counts: Sequence[int]) -> list[int]:
    return [sum(counts[:level]) for level in range(len(counts))]
