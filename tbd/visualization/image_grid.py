"""Many small images in one."""

import numpy as np


def image_grid(images: np.ndarray, columns: int, zoom: int = 2, gap: int = 2) -> np.ndarray:
    """Lay images out in rows, from left to right and from top to bottom.

    Args:
        images: [N, C, H, W] with one channel (grey) or three (RGB), uint8.
        columns: Images per row; the last row may be shorter.
        zoom: Pixels of the grid per pixel of an image.
        gap: Pixels between images and around them.

    Returns:
        The grid [H', W', 3], uint8, on mid grey.

    Raises:
        ValueError: if there are no images, or not of one or three channels.
    """
    if images.ndim != 4 or len(images) == 0 or images.shape[1] not in (1, 3):
        raise ValueError(f"images {list(images.shape)} must be [N, 1 or 3, H, W] with N >= 1.")
    colours = np.broadcast_to(images, (len(images), 3, *images.shape[2:])).transpose(0, 2, 3, 1)
    colours = colours.repeat(zoom, axis=1).repeat(zoom, axis=2)
    height, width = (size + gap for size in colours.shape[1:3])
    rows = -(-len(images) // columns)
    grid = np.full((rows * height + gap, columns * width + gap, 3), 128, dtype=np.uint8)
    for index, image in enumerate(colours):
        top, left = (index // columns) * height + gap, (index % columns) * width + gap
        grid[top : top + image.shape[0], left : left + image.shape[1]] = image
    return grid
