"""Overlaps of boxes."""

import torch
from torch import Tensor


def bbox_overlaps(
    bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int
) -> None:
    """Write IoU (``mode`` 0) or intersection over the first box's area (1) to ``ious``.

    Args:
        bboxes1: [M, 4], (x1, y1, x2, y2).
        bboxes2: [N, 4].
        ious: [M] if ``aligned``, for pairs of the same row; otherwise [M, N].
        mode: 0 or 1.
        aligned: Whether to compare rows in pairs.
        offset: 1 if boxes include their last pixel, so that their width is x2 − x1 + 1.
    """
    first = bboxes1 if aligned else bboxes1[:, None]
    top_left = torch.maximum(first[..., :2], bboxes2[..., :2])
    bottom_right = torch.minimum(first[..., 2:], bboxes2[..., 2:])
    overlap = (bottom_right - top_left + offset).clamp(min=0).prod(dim=-1)
    area = (first[..., 2:] - first[..., :2] + offset).prod(dim=-1)
    if mode == 0:
        area = area + (bboxes2[..., 2:] - bboxes2[..., :2] + offset).prod(dim=-1) - overlap
    ious.copy_(overlap / area)
