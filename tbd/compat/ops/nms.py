"""Non-maximum suppression as mmcv defines it, with its relatives soft-NMS and NMS-match.

Boxes are (x1, y1, x2, y2). With ``offset`` 1 they include their last pixel, so that their width
is x2 − x1 + 1.
"""

import numpy as np
import torch
import torchvision
from torch import Tensor


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Keep each box whose IoU with every better box kept is at most ``iou_threshold``.

    Args:
        boxes: [N, 4].
        scores: [N].
        iou_threshold: A box is dropped on an IoU strictly above it.
        offset: 0 or 1.

    Returns:
        Indices of the boxes kept, best first.
    """
    if offset:
        # In float32, to add 1 to a coordinate that batched NMS has shifted far out could cost
        # a part of a pixel.
        boxes = boxes.double() + boxes.new_tensor([0, 0, offset, offset])
    else:
        boxes = boxes.float()
        # mmcv compares in float32, where an IoU of 3/10 is not above 0.3.
        iou_threshold = float(np.float32(iou_threshold))
    return torchvision.ops.nms(boxes, scores.to(boxes.dtype), iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Lower the score of boxes that overlap a better one, and drop those below ``min_score``.

    Soft-NMS, https://arxiv.org/abs/1704.04503.

    Args:
        boxes: [N, 4], on the CPU.
        scores: [N], on the CPU.
        dets: [N, 5], on the CPU. Filled from the top with the boxes kept and their new scores.
        iou_threshold: The naive and the linear method act on an IoU of at least this.
        sigma: Of the Gaussian method, exp(−IoU² / sigma).
        min_score: Boxes whose score falls below it are dropped.
        method: 0 for naive (score 0), 1 for linear (times 1 − IoU), 2 for Gaussian.
        offset: 0 or 1.

    Returns:
        Indices of the boxes kept, best new score first.
    """
    # NumPy rather than PyTorch: many steps on few numbers, where the cost of a call decides.
    coordinates = boxes.float().numpy()
    score = scores.float().numpy().copy()
    index = np.arange(len(score))
    done = 0
    while done < len(index):
        rest = score[index[done:]]
        if not np.isnan(rest[0]):
            best = done + int(np.where(np.isnan(rest), -np.inf, rest).argmax())
            index[[done, best]] = index[[best, done]]

        current, others = index[done], index[done + 1 :]
        done += 1
        iou = _iou(coordinates[current], coordinates[others], offset)
        if method == 2:
            score[others] *= np.exp(-(iou * iou) / np.float32(sigma))
        else:
            overlaps = iou >= np.float32(iou_threshold)
            score[others[overlaps]] *= 1 - iou[overlaps] if method == 1 else 0
        index = np.concatenate(
            [index[:done], _compacted(others, ~(score[others] < np.float32(min_score)))]
        )
    kept = np.concatenate([coordinates[index], score[index, None]], axis=1)
    dets[: len(index)] = torch.from_numpy(kept)
    return torch.from_numpy(index)


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group each box that NMS would keep with the boxes that it suppresses.

    Args:
        dets: [N, 5], boxes and scores, on the CPU.
        iou_threshold: A box is suppressed on an IoU of at least this.

    Returns:
        Groups of indices, best first, each beginning with the box kept and going on by score.
    """
    order = dets[:, 4].sort(descending=True).indices.numpy()
    coordinates = dets[:, :4].float().numpy()
    groups = []
    while len(order):
        current, others = order[0], order[1:]
        iou = _iou(coordinates[current], coordinates[others], offset=0)
        suppressed = iou >= np.float32(iou_threshold)
        groups.append([int(current), *others[suppressed].tolist()])
        order = others[~suppressed]
    return groups


def _iou(box: np.ndarray, boxes: np.ndarray, offset: int) -> np.ndarray:
    top_left = np.maximum(box[:2], boxes[:, :2])
    bottom_right = np.minimum(box[2:], boxes[:, 2:])
    overlap = np.maximum(bottom_right - top_left + np.float32(offset), 0).prod(axis=1)
    area = (box[2:] - box[:2] + np.float32(offset)).prod()
    areas = (boxes[:, 2:] - boxes[:, :2] + np.float32(offset)).prod(axis=1)
    # Two boxes without area have no IoU: NaN, which no threshold suppresses.
    with np.errstate(invalid="ignore", divide="ignore"):
        return overlap / (area + areas - overlap)


def _compacted(index: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Remove entries the way mmcv does, which decides the order of equal scores.

    Each gap is filled with the last entry that stays.
    """
    count = int(keep.sum())
    index = index.copy()
    index[:count][~keep[:count]] = index[count:][keep[count:]][::-1]
    return index[:count]
