"""The locations of a pyramid: where their centres lie in the image."""

from collections.abc import Sequence

import torch
from torch import Tensor


def location_centers(
    sizes: Sequence[tuple[int, int]],
    strides: Sequence[tuple[float, float]],
    offset: float,
    device: torch.device,
) -> list[Tensor]:
    """Centres of the locations of each level, row by row.

    Args:
        sizes: Height and width of each level.
        strides: Input pixels per cell of each level, (vertical, horizontal).
        offset: Where in its cell the centre of a location lies, 0.5 in the middle.
        device: Where to make them.

    Returns:
        For each level [H·W, 2] as x, y in pixels of the input, float32.
    """
    levels = []
    for (height, width), (vertical, horizontal) in zip(sizes, strides, strict=True):
        y = (torch.arange(height, device=device) + offset) * vertical
        x = (torch.arange(width, device=device) + offset) * horizontal
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        levels.append(torch.stack([columns, rows], dim=-1).flatten(0, 1).float())
    return levels


def by_level(images: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> tuple[Tensor, ...]:
    """Lay out values of the locations of all levels as maps.

    Args:
        images: For each of the N images, a value for every location [M], the levels one
            after the other, each row by row.
        sizes: Height and width of each level.

    Returns:
        For each level [N, H, W].
    """
    levels = torch.stack(list(images)).split([height * width for height, width in sizes], dim=1)
    return tuple(level.unflatten(1, size) for level, size in zip(levels, sizes, strict=True))
