"""COCO's average precision of the same boxes under any ranking.

Matching is done image by image, so that it is shared by the processes of a distributed evaluation
and leaves a few bytes per detection to keep. Every number is the one that pycocotools' COCOeval
gives for areas of all sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Thresholds over which COCO averages."""

MAX_DETECTIONS = 100
"""Detections of one class that COCO counts in an image."""

_RECALLS = np.linspace(0, 1, 101)
_BITS = np.arange(len(IOU_THRESHOLDS), dtype=np.uint16)
_ALL = np.uint16(2 ** len(_BITS) - 1)


@dataclass(frozen=True)
class Matches:
    """Which detections of one image are hits when they are matched in the order of a ranking.

    Bit i of both arrays belongs to ``IOU_THRESHOLDS[i]``.

    Attributes:
        hits: Thresholds at which the detection is a true positive [D], uint16.
        ignored: Thresholds at which it counts neither as true nor as false [D], uint16.
    """

    hits: np.ndarray
    ignored: np.ndarray


def match_detections(
    ranking: np.ndarray,
    labels: np.ndarray,
    ious: np.ndarray,
    gt_labels: np.ndarray,
    crowd: np.ndarray,
) -> Matches:
    """Match the detections of one image, best-ranked first, to ground truth of their class.

    Args:
        ranking: What ranks them, the highest first [D].
        labels: Class indices [D].
        ious: Overlap [D, G] with the ground truth: IoU, and for crowds the share of the
            detection that lies inside.
        gt_labels: Class indices [G].
        crowd: Which ground truth is a crowd [G], bool: detections on it are ignored.
    """
    ignored = np.zeros(len(ranking), np.uint16)
    order = np.argsort(-ranking, kind="stable")
    if len(labels) > MAX_DETECTIONS:
        counts = np.empty(len(order), int)
        counts[order] = _earlier_of_their_class(labels[order])
        ignored[counts >= MAX_DETECTIONS] = _ALL
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    near = (ious >= IOU_THRESHOLDS[0]) & (labels[:, None] == gt_labels) & (ignored == 0)[:, None]
    detections, targets = np.nonzero(near)
    overlaps = ious[detections, targets]
    # Each detection in its turn: a crowd is second choice, whatever the overlap, and among equal
    # overlaps COCO takes the last.
    turns = np.lexsort((-targets, -overlaps, crowd[targets], rank[detections]))
    reached = (1 << np.searchsorted(IOU_THRESHOLDS, overlaps, side="right")) - 1
    hits = np.zeros(len(ranking), np.uint16)
    free = [int(_ALL)] * len(gt_labels)
    current, unmatched = -1, 0
    pairs = zip(*(part[turns].tolist() for part in (detections, targets, reached)), strict=True)
    is_crowd = crowd.tolist()
    for detection, target, thresholds in pairs:
        if detection != current:
            current, unmatched = detection, int(_ALL)
        found = unmatched & thresholds
        if is_crowd[target]:
            ignored[detection] |= found
        else:
            found &= free[target]
            free[target] &= ~found
            hits[detection] |= found
        unmatched &= ~found
    return Matches(hits, ignored)


def average_precision(
    rankings: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    matches: Sequence[Matches],
    positives: Sequence[np.ndarray],
) -> float | None:
    """Average precision over classes, IoU thresholds and 101 recalls.

    The order of the images decides between equally ranked detections; COCO's is that of their ids.

    Args:
        rankings: Of every image, what ranked its detections.
        labels: Their class indices.
        matches: Their matches in this ranking.
        positives: Of every image the class indices of its ground truth, crowds left out.

    Returns:
        The AP in [0, 1], or None if there is no ground truth.
    """
    precisions = list(_by_class(rankings, labels, matches, positives).values())
    # COCOeval's axes, and with them its order of summation.
    return float(np.stack(precisions, axis=-1).mean()) if precisions else None


def class_precisions(
    rankings: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    matches: Sequence[Matches],
    positives: Sequence[np.ndarray],
) -> dict[int, float]:
    """Average precision of each class over IoU thresholds and 101 recalls.

    Args:
        rankings: See :func:`average_precision`.
        labels: Likewise.
        matches: Likewise.
        positives: Likewise.

    Returns:
        Class index → AP in [0, 1], of the classes that have ground truth.
    """
    found = _by_class(rankings, labels, matches, positives)
    return {label: float(precision.mean()) for label, precision in found.items()}


def _by_class(
    rankings: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    matches: Sequence[Matches],
    positives: Sequence[np.ndarray],
) -> dict[int, np.ndarray]:
    """Class index → interpolated precision [thresholds, recalls]."""
    truth = np.concatenate([np.empty(0, np.int16), *positives])
    if len(truth) == 0:
        return {}
    ranking, label_of = np.concatenate(rankings), np.concatenate(labels)
    hits = np.concatenate([match.hits for match in matches])
    ignored = np.concatenate([match.ignored for match in matches])
    precisions = {}
    for label, count in zip(*np.unique(truth, return_counts=True), strict=True):
        own = np.flatnonzero(label_of == label)
        own = own[np.argsort(-ranking[own], kind="stable")]
        precisions[int(label)] = _precision(_unpack(hits[own]), _unpack(ignored[own]), count)
    return precisions


def _earlier_of_their_class(labels: np.ndarray) -> np.ndarray:
    """For each entry, how many of the same label stand before it."""
    by_label = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[by_label], return_index=True, return_counts=True)
    earlier = np.empty(len(labels), int)
    earlier[by_label] = np.arange(len(labels)) - np.repeat(starts, counts)
    return earlier


def _precision(hits: np.ndarray, ignored: np.ndarray, count: int) -> np.ndarray:
    """Interpolated precision [thresholds, recalls] of ranked detections [thresholds, N]."""
    true = np.cumsum(hits & ~ignored, axis=1).astype(float)
    false = np.cumsum(~hits & ~ignored, axis=1).astype(float)
    precision = true / (false + true + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    result = np.zeros((len(IOU_THRESHOLDS), len(_RECALLS)))
    for index, recall in enumerate(true / count):
        reached = np.searchsorted(recall, _RECALLS, side="left")
        known = reached < len(recall)
        result[index, known] = precision[index, reached[known]]
    return result


def _unpack(packed: np.ndarray) -> np.ndarray:
    return (packed >> _BITS[:, None] & 1).astype(bool)
