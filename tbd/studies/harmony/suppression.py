"""Boxes that NMS removed although they were placed better than the one that it kept."""

from dataclasses import dataclass

import numpy as np

from tbd.evaluation.overlaps import box_overlaps, with_extent


@dataclass(frozen=True)
class Candidates:
    """Boxes of one image as they go into NMS.

    Attributes:
        boxes: Corners [N, 4], ``x1, y1, x2, y2`` in pixels.
        scores: Scores [N].
        labels: Class indices [N].
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Rivals:
    """An object's best-placed kept box and the best-placed box that this one suppressed.

    Attributes:
        gt: Number of the object.
        kept: Number of the kept candidate.
        suppressed: Number of the suppressed candidate, which may be the kept one itself if it
            suppressed none that is better.
        kept_iou: IoU of the kept box with the object.
        suppressed_iou: IoU of the suppressed box with it, at least ``kept_iou``.
    """

    gt: int
    kept: int
    suppressed: int
    kept_iou: float
    suppressed_iou: float

    @property
    def lost(self) -> float:
        """IoU that the object loses at NMS."""
        return self.suppressed_iou - self.kept_iou


def suppress(
    candidates: Candidates, iou_threshold: float, class_agnostic: bool = False
) -> np.ndarray:
    """Run greedy NMS and say which box removed which.

    Args:
        candidates: The boxes that go in.
        iou_threshold: A box goes if its IoU with a better-scored kept one is greater.
        class_agnostic: Let boxes of other classes suppress too.

    Returns:
        For each candidate the number of the kept one that decided on it [N]; kept ones have
        their own number.
    """
    decided_by = np.full(len(candidates.boxes), -1)
    boxes = with_extent(candidates.boxes)
    for index in np.argsort(-candidates.scores, kind="stable"):
        if decided_by[index] >= 0:
            continue
        open_ = np.flatnonzero(decided_by < 0)
        if not class_agnostic:
            open_ = open_[candidates.labels[open_] == candidates.labels[index]]
        overlaps = box_overlaps(boxes[open_], boxes[index : index + 1])[:, 0]
        decided_by[open_[overlaps > iou_threshold]] = index
        decided_by[index] = index
    return decided_by


def find_rivals(
    candidates: Candidates,
    decided_by: np.ndarray,
    gt_boxes: np.ndarray,
    gt_labels: np.ndarray,
    score_thr: float,
    min_iou: float = 0.5,
) -> list[Rivals]:
    """Compare, for every object that is found, the box kept for it with those it suppressed.

    Args:
        candidates: The boxes that go into NMS.
        decided_by: What :func:`suppress` returned for them.
        gt_boxes: Objects of the image [G, 4], corners in pixels.
        gt_labels: Their class indices [G].
        score_thr: Smallest score of a kept box that finds an object.
        min_iou: Smallest IoU of such a box with the object.

    Returns:
        One entry per object that is found by a kept box of its class: the one placed best.
    """
    ious = box_overlaps(with_extent(candidates.boxes), with_extent(gt_boxes))
    ious[candidates.labels[:, None] != gt_labels] = 0
    kept = (decided_by == np.arange(len(decided_by))) & (candidates.scores >= score_thr)
    found = []
    for gt, overlaps in enumerate(ious.T):
        best = int(np.where(kept, overlaps, -1.0).argmax()) if kept.any() else -1
        if best < 0 or overlaps[best] < min_iou:
            continue
        rivals = np.flatnonzero(decided_by == best)
        rival = int(rivals[overlaps[rivals].argmax()])
        found.append(Rivals(gt, best, rival, float(overlaps[best]), float(overlaps[rival])))
    return found
