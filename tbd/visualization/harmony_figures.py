"""Figures of how far the scores of several detectors agree with their localization."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from tbd.visualization.literal import literal
from tbd.visualization.palette import line_look, sequential

_DPI = 150
_COLUMNS = 3
_MIN_COUNT = 10
_MIN_COUNT = 10
"""Detections that a bin of the score needs for its mean IoU to be drawn."""


@literal
def draw_iou_histogram(histograms: Mapping[str, np.ndarray], score_thr: float) -> Figure:
    """Draw how well the confident detections of each detector are placed.

    Args:
        histograms: Detector → counts of its confident detections in equal bins of the IoU.
        score_thr: Smallest score of a confident detection.
    """
    figure = Figure(figsize=(7, 4.2), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    for index, (name, counts) in enumerate(histograms.items()):
        total = counts.sum()
        shares = counts / total if total else counts
        axes.plot(
            (np.arange(len(counts)) + 0.5) / len(counts),
            100 * shares,
            label=f"{name} ({int(total)} detections)",
            markersize=4,
            **line_look(index),
        )
    axes.set(
        xlabel="IoU with the best ground truth",
        ylabel="detections (%)",
        title=f"Placement of detections with a score of at least {score_thr:g}",
        xlim=(0, 1),
    )
    axes.set_ylim(bottom=0)
    _tidy(axes)
    figure.legend(loc="outside lower center", ncols=min(len(histograms), 2), frameon=False)
    return figure


@literal
def draw_score_iou_density(densities: Mapping[str, np.ndarray], score_thr: float) -> Figure:
    """Draw where the detections of each detector lie between score and IoU.

    Args:
        densities: Detector → counts of its detections [bins of the score, bins of the IoU].
        score_thr: Smallest score of a confident detection, marked by a line.
    """
    columns = min(_COLUMNS, len(densities))
    rows = math.ceil(len(densities) / columns)
    figure = Figure(figsize=(3.1 * columns + 1, 3.1 * rows + 0.4), dpi=_DPI, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    # A logarithmic scale needs two different ends.
    highest = max(2, *(int(counts.max()) for counts in densities.values()))
    colours = ScalarMappable(LogNorm(1, highest), sequential())
    for axes, (name, counts) in zip(panels.flat, densities.items(), strict=False):
        edges = np.linspace(0, 1, len(counts) + 1)
        shown = np.ma.masked_equal(counts.T, 0)
        axes.pcolormesh(edges, edges, shown, cmap=colours.cmap, norm=colours.norm)
        axes.plot([0, 1], [0, 1], color="#D55E00", linewidth=1.2, linestyle="--")
        axes.axvline(score_thr, color="0.4", linewidth=1, linestyle=":")
        axes.set_title(name, fontsize=10)
        axes.set_aspect("equal")
        axes.set(xlim=(0, 1), ylim=(0, 1))
    for axes, above in zip(
        panels.flat[len(densities) :], panels.flat[len(densities) - columns :], strict=False
    ):
        axes.set_axis_off()
        above.tick_params(labelbottom=True)
    figure.supxlabel("score", fontsize=10)
    figure.supylabel("IoU with the best ground truth", fontsize=10)
    figure.colorbar(colours, ax=panels, label="detections", shrink=0.8)
    return figure


@literal
def draw_calibration(
    bins: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], score_thr: float
) -> Figure:
    """Draw the mean IoU of each detector's detections over their score.

    Bins of fewer than ten detections are left out.

    Args:
        bins: Detector → per bin of the score the number of its detections, the sum of their
            scores and the sum of their IoUs.
        score_thr: Smallest score of a confident detection, marked by a line.
    """
    figure = Figure(figsize=(5.6, 5.2), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=1, label="IoU = score")
    axes.axvline(score_thr, color="0.4", linewidth=1, linestyle=":")
    for index, (name, (counts, scores, ious)) in enumerate(bins.items()):
        filled = counts >= _MIN_COUNT
        axes.plot(
            scores[filled] / counts[filled],
            ious[filled] / counts[filled],
            label=name,
            markersize=4,
            **line_look(index),
        )
    axes.set(
        xlabel="mean score of the bin",
        ylabel="mean IoU of the bin",
        title="IoU that a score stands for",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.set_aspect("equal")
    _tidy(axes)
    figure.legend(loc="outside lower center", ncols=min(len(bins) + 1, 2), frameon=False)
    return figure


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
