"""Which cells of a feature map belong to objects, from the boxes of the ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from tbd.distill.ground_truth import GroundTruth
from tbd.distill.locations import location_centers
from tbd.distill.view import View

ANCHOR_SCALE = 8.0
"""Side of the anchors whose overlap with objects counts, in cells."""

ANCHOR_RATIOS = (0.5, 1.0, 2.0)
"""Their ratios of height to width."""


@dataclass(frozen=True)
class ScaledMasks:
    """Weights of the cells of one level, so that small objects count as much as large ones.

    Attributes:
        foreground: [N, H, W]; 1 / (cells of the object) inside an object, that
            of the smallest where objects overlap, 0 outside of all.
        background: [N, H, W]; 1 / (cells of the image's background) there, 0 inside
            an object or an ignored region.
    """

    foreground: Tensor
    background: Tensor


def scaled_masks(view: View, stretch_boxes: bool = False) -> list[ScaledMasks]:
    """Scaled masks of a view's pyramid levels, made once per step.

    Args:
        view: A view with features.
        stretch_boxes: See :func:`scaled_mask`.

    Returns:
        The masks of each level.
    """
    sizes = view.sizes()
    device = view.features[0].device

    def make() -> list[ScaledMasks]:
        masks = [scaled_mask(view.gt, size, stretch_boxes) for size in sizes]
        return [ScaledMasks(m.foreground.to(device), m.background.to(device)) for m in masks]

    return view.cached(("scaled_masks", sizes, stretch_boxes), make)


def scaled_mask(gt: GroundTruth, size: tuple[int, int], stretch_boxes: bool = False) -> ScaledMasks:
    """Weigh the cells of a map by the objects that they belong to.

    An object has the cells from ⌊x1⌋ to ⌈x2⌉ and from ⌊y1⌋ to ⌈y2⌉, both
    included, coordinates being in cells, as the public code of FGD (Yang et
    al., CVPR 2022) has it. Cells outside of the map count in the object's size.
    The cells of ignored regions, found alike, are no background; that code does
    not know such regions and counts them as background.

    Args:
        gt: Ground truth of the batch.
        size: Height and width of the map.
        stretch_boxes: Bring the boxes to the map as if it showed the image
            without its padding, which the public code does: on padded images
            its masks lie beside the objects. False takes the padding into account.

    Returns:
        The weights, float32.
    """
    height, width = size
    masks, occupied = [], []
    for boxes, objects, image_size in zip(gt.occupied(), gt.boxes, gt.image_sizes, strict=True):
        shown = image_size if stretch_boxes else gt.input_size
        scale = boxes.new_tensor([width / shown[1], height / shown[0]]).repeat(2)
        cells = boxes.detach() * scale
        low, high = cells[:, :2].floor(), cells[:, 2:].ceil()
        area = (high + 1 - low).clamp(min=1).prod(dim=1)
        inside = _inside(low, high, size)
        weights = inside / area[:, None, None]
        masks.append(_largest(weights[: len(objects)]))
        occupied.append(_largest(inside))
    foreground = torch.stack(masks).float()
    outside = 1 - torch.stack(occupied).float()
    background = outside / outside.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    return ScaledMasks(foreground, background)


def object_masks(view: View) -> list[Tensor]:
    """Which cells objects cover, wholly or in part.

    Args:
        view: A view with features.

    Returns:
        For each of its levels, 1 or 0 [N, H, W].
    """
    sizes = view.sizes()
    return view.cached(
        ("object_masks", sizes),
        lambda: [_covered(view.gt.boxes, view.gt.input_size, size) for size in sizes],
    )


def background_masks(view: View) -> list[Tensor]:
    """Which cells neither objects nor ignored regions cover, not even in part.

    Args:
        view: A view with features.

    Returns:
        For each of its levels, 1 or 0 [N, H, W].
    """
    sizes = view.sizes()
    return view.cached(
        ("background_masks", sizes),
        lambda: [1 - _covered(view.gt.occupied(), view.gt.input_size, size) for size in sizes],
    )


def near_object_masks(view: View, ratio: float) -> list[Tensor]:
    """Which cells have an anchor that overlaps an object nearly as much as the best one does.

    An anchor is near if its IoU with an object exceeds ``ratio`` times the
    largest IoU that any anchor of the level has with that object; Wang et al.
    (arXiv 1906.03609).

    Args:
        view: A view with features.
        ratio: The ψ, in [0, 1).

    Returns:
        For each of its levels, 1 or 0 [N, H, W].
    """
    sizes = view.sizes()
    return view.cached(
        ("near_object_masks", sizes, ratio),
        lambda: [_near(view.gt, size, ratio) for size in sizes],
    )


def _covered(
    images: Sequence[Tensor], input_size: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """1 in the cells of a map that the boxes of its image cover [N, H, W]."""
    height, width = size
    masks = []
    for boxes in images:
        scale = boxes.new_tensor([width / input_size[1], height / input_size[0]]).repeat(2)
        cells = boxes.detach() * scale
        low = cells[:, :2].floor()
        # A box of no extent lies in a cell, too.
        high = torch.maximum(cells[:, 2:].ceil() - 1, low)
        masks.append(_largest(_inside(low, high, size)))
    return torch.stack(masks).float()


def _near(gt: GroundTruth, size: tuple[int, int], ratio: float) -> Tensor:
    height, width = size
    vertical, horizontal = gt.input_size[0] / height, gt.input_size[1] / width
    masks = []
    for boxes in gt.boxes:
        (centers,) = location_centers([size], [(vertical, horizontal)], 0.5, boxes.device)
        shapes = boxes.new_tensor([[1 / r**0.5, r**0.5] for r in ANCHOR_RATIOS])
        half = shapes * boxes.new_tensor([horizontal, vertical]) * ANCHOR_SCALE / 2
        corners = [centers[:, None] - half, centers[:, None] + half]
        anchors = torch.cat(corners, dim=-1).flatten(0, 1)
        iou = bbox_overlaps(anchors, boxes.detach().to(anchors))
        # An object that no anchor meets has none that is near: 0 is not above 0.
        near = (iou > ratio * iou.amax(dim=0)).any(dim=1)
        masks.append(near.unflatten(0, (height, width, -1)).any(dim=2))
    return torch.stack(masks).float()


def _largest(maps: Tensor) -> Tensor:
    """Largest value of each cell [H, W] of the objects' maps [G, H, W]; 0 without objects."""
    return torch.cat([maps, maps.new_zeros(1, *maps.shape[1:])]).amax(dim=0)


def _inside(low: Tensor, high: Tensor, size: tuple[int, int]) -> Tensor:
    """1 in the cells of each object [G, H, W] from ``low`` to ``high`` [G, 2] as x, y, included."""
    ranges = []
    for axis, cells in ((1, size[0]), (0, size[1])):
        index = torch.arange(cells, device=low.device)
        ranges.append((index >= low[:, axis, None]) & (index <= high[:, axis, None]))
    return (ranges[0][:, :, None] & ranges[1][:, None, :]).to(low)
