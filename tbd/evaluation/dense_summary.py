"""Agreement of scores and IoUs over any number of predictions, from sums and counts alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tbd.evaluation.agreement import (
    CALIBRATION_BINS,
    HARMONIOUS,
    IOU_EDGES,
    calibration_bins,
    calibration_error,
    iou_share_names,
    pearson,
)
from tbd.harmony import classification_probability, harmony_score, localization_probability
from tbd.predictions import DensePredictions

GRID = 20
"""Equal cells per axis, score and IoU, in which the predictions are counted."""


@dataclass(frozen=True)
class DenseSummary:
    """What remains of the confident dense predictions of one image: at most some kilobytes.

    Attributes:
        score_thr: Smallest score that was counted.
        moments: Sums over the predictions of harmony score, harmonious (0 or 1), score², IoU²
            and score·IoU [5].
        bins: Per calibration bin the count, the sum of scores and the sum of IoUs [3, bins].
        cells: Numbers of the non-empty cells of the grid, score·GRID + IoU, uint16.
        counts: Predictions in each of these cells, uint32.
    """

    score_thr: float
    moments: np.ndarray
    bins: np.ndarray
    cells: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, ious: np.ndarray, score_thr: float) -> "DenseSummary":
        """Summarise predictions.

        Args:
            scores: Scores [N] in [0, 1]; all of them count.
            ious: IoUs [N] of the same predictions with their best ground truth.
            score_thr: The threshold that selected them.
        """
        scores, ious = scores.astype(float), ious.astype(float)
        harmony = harmony_score(torch.from_numpy(scores), torch.from_numpy(ious)).numpy()
        harmonious = np.abs(ious - scores) <= HARMONIOUS
        parts = (harmony, harmonious, scores**2, ious**2, scores * ious)
        bins = calibration_bins(scores)
        cells, counts = np.unique(_cell(scores) * GRID + _cell(ious), return_counts=True)
        return cls(
            score_thr,
            np.array([part.sum() for part in parts], float),
            np.stack([np.bincount(bins, w, CALIBRATION_BINS) for w in (None, scores, ious)]),
            cells.astype(np.uint16),
            counts.astype(np.uint32),
        )


@torch.no_grad()
def summarize_dense(
    predictions: DensePredictions, gt_boxes: Sequence[Tensor], score_thr: float
) -> list[DenseSummary]:
    """Summarise the dense predictions of every image of a batch whose score reaches a threshold.

    The score is the one that ranks predictions at NMS, of the best class; the IoU is that with
    the best ground truth of any class.

    Args:
        predictions: What the dense head predicts before NMS.
        gt_boxes: Ground-truth boxes [G, 4] of each image, in pixels of the input.
        score_thr: Smallest score that counts, in [0, 1].

    Returns:
        One summary per image.
    """
    levels = [
        classification_probability(
            logits, predictions.num_classes, "sigmoid", background=predictions.background
        )
        # From [N, A, H, W] to the order of the boxes.
        .permute(0, 2, 3, 1)
        .flatten(1)
        for logits in predictions.ranking_logits
    ]
    scores, boxes = torch.cat(levels, dim=1), torch.cat(predictions.boxes, dim=1)
    summaries = []
    for image_scores, image_boxes, gt in zip(scores, boxes, gt_boxes, strict=True):
        counted = image_scores >= score_thr
        ious = localization_probability(image_boxes[counted][None], [gt])[0]
        arrays = image_scores[counted].cpu().numpy(), ious.cpu().numpy()
        summaries.append(DenseSummary.of(*arrays, score_thr))
    return summaries


def measure_summaries(summaries: Sequence[DenseSummary]) -> dict[str, float | None] | None:
    """Measure the agreement of scores and IoUs over all images.

    Args:
        summaries: One per image.

    Returns:
        What :func:`~tbd.evaluation.agreement.measure_agreement` returns for the predictions
        themselves, except that ``spearman`` takes those of one cell of the grid for equal;
        None if there is no prediction.
    """
    bins = sum((s.bins for s in summaries), np.zeros((3, CALIBRATION_BINS)))
    counts, score_sums, iou_sums = bins
    total = counts.sum()
    if total == 0:
        return None
    harmony, harmonious, *products = sum((s.moments for s in summaries), np.zeros(5)) / total
    means = score_sums.sum() / total, iou_sums.sum() / total
    flat = np.zeros(GRID * GRID)
    for summary in summaries:
        flat[summary.cells] += summary.counts
    grid = flat.reshape(GRID, GRID)
    edges = np.round(np.array(IOU_EDGES[:-1]) * GRID).astype(int)
    shares = np.add.reduceat(grid.sum(axis=0), edges) / total
    return {
        "harmony_score": float(harmony),
        "harmonious": float(harmonious),
        "pearson": _pearson_from_moments(means, products),
        "spearman": _spearman_on_grid(grid),
        "calibration_error": calibration_error(counts, score_sums, iou_sums),
        "mean_confidence": float(means[0]),
        "mean_iou": float(means[1]),
        **dict(zip(iou_share_names(), shares.tolist(), strict=True)),
    }


def _cell(values: np.ndarray) -> np.ndarray:
    return np.clip((values * GRID).astype(int), 0, GRID - 1)


def _pearson_from_moments(means: tuple[float, float], products: Sequence[float]) -> float | None:
    x2, y2, xy = products
    variances = np.array([x2 - means[0] ** 2, y2 - means[1] ** 2])
    # What remains of the variance of equal values is rounding.
    if (variances <= 1e-12 * np.array([x2, y2])).any():
        return None
    covariance = xy - means[0] * means[1]
    return float(np.clip(covariance / np.sqrt(variances.prod()), -1, 1))


def _spearman_on_grid(grid: np.ndarray) -> float | None:
    """Rank correlation of counts, the predictions of one row or column sharing their rank."""
    rows, columns = np.nonzero(grid)
    row_ranks, column_ranks = (
        np.cumsum(marginal) - marginal / 2 for marginal in (grid.sum(axis=1), grid.sum(axis=0))
    )
    return pearson(row_ranks[rows], column_ranks[columns], weights=grid[rows, columns])
