"""How far scores and IoUs of detections agree: pure functions of arrays."""

from itertools import pairwise

import numpy as np
import torch
from scipy.stats import rankdata

from tbd.harmony import harmony_score

HARMONIOUS = 0.1
"""A detection is harmonious if its score is at most this far from its IoU."""

IOU_EDGES = (0.0, 0.5, 0.75, 0.9, 1.0)
"""Edges of the bins in which the IoUs of confident detections are counted."""

CALIBRATION_BINS = 10
"""Equal bins of the score, over [0, 1], between which the calibration error averages."""


def pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> float | None:
    """Pearson's correlation of two arrays [N].

    Args:
        x: First values.
        y: Second values.
        weights: How often each pair counts [N]. Default: once.

    Returns:
        The correlation in [-1, 1], or None where it does not exist: fewer than two pairs, or
        one of the arrays is constant.
    """
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    x, y = (v - np.average(v, weights=weights) for v in (x.astype(float), y.astype(float)))
    covariance = np.average(x * y, weights=weights)
    variances = np.average(x**2, weights=weights) * np.average(y**2, weights=weights)
    return float(np.clip(covariance / np.sqrt(variances), -1, 1))


def spearman(x: np.ndarray, y: np.ndarray) -> float | None:
    """Spearman's rank correlation of two arrays [N]; equal values share their mean rank.

    Returns:
        The correlation in [-1, 1], or None where it does not exist, see :func:`pearson`.
    """
    return pearson(rankdata(x), rankdata(y))


def calibration_bins(scores: np.ndarray) -> np.ndarray:
    """Number of the calibration bin of each score, from 0; a score of 1 is in the last one."""
    return np.clip((scores * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)


def calibration_error(counts: np.ndarray, scores: np.ndarray, ious: np.ndarray) -> float:
    """Expected IoU calibration error.

    With n_b detections in bin b of the score, Σ_b n_b / n · |mean score in b − mean IoU in b|;
    the classifier's expected calibration error with the IoU in place of the accuracy.

    Args:
        counts: Detections in each bin [B], at least one in all.
        scores: Sum of their scores [B].
        ious: Sum of their IoUs [B].

    Returns:
        The error in [0, 1].
    """
    return float(np.abs(scores - ious).sum() / counts.sum())


def iou_share_names() -> list[str]:
    """Names of the shares that :func:`measure_agreement` reports per bin of the IoU."""
    return [f"iou_{low:.2f}_{high:.2f}" for low, high in pairwise(IOU_EDGES)]


def measure_agreement(scores: np.ndarray, ious: np.ndarray) -> dict[str, float | None]:
    """Measure the agreement of scores and IoUs.

    Args:
        scores: Scores [N] in [0, 1], N > 0.
        ious: IoUs [N] in [0, 1] of the same detections with their best ground truth.

    Returns:
        * ``harmony_score``: mean harmony score 1 − tanh|IoU − score|, in (0, 1];
        * ``harmonious``: share of detections with |IoU − score| ≤ :data:`HARMONIOUS`;
        * ``pearson``, ``spearman``: correlation of score and IoU, None where there is none;
        * ``calibration_error``: see :func:`calibration_error`;
        * ``mean_confidence``, ``mean_iou``: mean score and mean IoU;
        * ``iou_0.00_0.50``, …: shares of the IoU in the bins of :data:`IOU_EDGES`; a bin
          holds its lower edge, the last one both.
    """
    scores, ious = scores.astype(float), ious.astype(float)
    bins = calibration_bins(scores)
    counts, score_sums, iou_sums = (
        np.bincount(bins, weights, minlength=CALIBRATION_BINS) for weights in (None, scores, ious)
    )
    shares = np.histogram(ious, IOU_EDGES)[0] / len(ious)
    return {
        "harmony_score": float(harmony_score(*map(torch.from_numpy, (scores, ious))).mean()),
        "harmonious": float((np.abs(ious - scores) <= HARMONIOUS).mean()),
        "pearson": pearson(scores, ious),
        "spearman": spearman(scores, ious),
        "calibration_error": calibration_error(counts, score_sums, iou_sums),
        "mean_confidence": float(scores.mean()),
        "mean_iou": float(ious.mean()),
        **dict(zip(iou_share_names(), shares.tolist(), strict=True)),
    }
