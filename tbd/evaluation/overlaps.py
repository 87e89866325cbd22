"""Overlaps of boxes as COCO's evaluation computes them."""

import numpy as np
from pycocotools import mask as mask_utils


def with_extent(corners: np.ndarray) -> np.ndarray:
    """Turn boxes [N, 4] from ``x1, y1, x2, y2`` into ``x, y, width, height``, float64."""
    corners = corners.astype(float)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def box_overlaps(
    boxes: np.ndarray, targets: np.ndarray, crowd: np.ndarray | None = None
) -> np.ndarray:
    """Overlap of every box with every target.

    Args:
        boxes: Boxes [N, 4], ``x, y, width, height``, float64.
        targets: Boxes [M, 4], likewise.
        crowd: Which targets are crowds [M], bool. Default: none.

    Returns:
        IoU [N, M], and for crowds the share of the box that lies inside; 0 of two empty boxes, and
        of a box whose width or height is NaN.
    """
    if len(boxes) == 0 or len(targets) == 0:
        return np.zeros((len(boxes), len(targets)))
    if crowd is None:
        crowd = np.zeros(len(targets), bool)
    return np.nan_to_num(mask_utils.iou(boxes, targets, crowd.astype(np.uint8)))
