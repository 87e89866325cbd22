"""Which cells of a feature map belong to objects, from the boxes of the ground truth."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tbd.distill.ground_truth import GroundTruth
from tbd.distill.view import View


@dataclass(frozen=True)
class ScaledMasks:
    """Weights of the cells of one level, so that small objects count as much as large ones.

    Attributes:
        foreground: [N, H, W]; 1 / (cells of the object) inside an object, that
            of the smallest where objects overlap, 0 outside of all.
        background: [N, H, W]; 1 / (cells outside of all objects of the image)
            there, 0 inside an object.
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
    masks = []
    for boxes, image_size in zip(gt.boxes, gt.image_sizes, strict=True):
        shown = image_size if stretch_boxes else gt.input_size
        scale = boxes.new_tensor([width / shown[1], height / shown[0]]).repeat(2)
        cells = boxes.detach() * scale
        low, high = cells[:, :2].floor(), cells[:, 2:].ceil()
        area = (high + 1 - low).clamp(min=1).prod(dim=1)
        inside = _inside(low, high, size)
        # Zeros as one more object, for images without any.
        weights = torch.cat([inside / area[:, None, None], inside.new_zeros(1, height, width)])
        masks.append(weights.amax(dim=0))
    foreground = torch.stack(masks).float()
    outside = (foreground == 0).float()
    background = outside / outside.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    return ScaledMasks(foreground, background)


def _inside(low: Tensor, high: Tensor, size: tuple[int, int]) -> Tensor:
    """1 in the cells of each object [G, H, W] from ``low`` to ``high`` [G, 2] as x, y, included."""
    ranges = []
    for axis, cells in ((1, size[0]), (0, size[1])):
        index = torch.arange(cells, device=low.device)
        ranges.append((index >= low[:, axis, None]) & (index <= high[:, axis, None]))
    return (ranges[0][:, :, None] & ranges[1][:, None, :]).to(low)
