"""Pairs of boxes of which NMS kept the worse-placed one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from tbd.visualization.literal import literal
from tbd.visualization.palette import BETTER, WORSE

_PANEL_INCHES = 2.3
_DPI = 150
_FONT_SIZE = 8
_MARGIN = 0.25
"""Of the picture around the boxes, as a share of their extent."""


@dataclass(frozen=True)
class SuppressedPair:
    """A kept box, the better-placed one that it suppressed, and the object of both.

    Attributes:
        image: The image [H, W, 3], uint8, RGB.
        gt_box: The object [4], corners in pixels of the image.
        kept_box: The kept box [4].
        suppressed_box: The suppressed box [4].
        kept: Score and IoU of the kept box.
        suppressed: Score and IoU of the suppressed box.
        label: Class name.
    """

    image: np.ndarray
    gt_box: np.ndarray
    kept_box: np.ndarray
    suppressed_box: np.ndarray
    kept: tuple[float, float]
    suppressed: tuple[float, float]
    label: str


@literal
def draw_suppressed_pairs(pairs: Sequence[SuppressedPair], columns: int = 4) -> Figure:
    """Draw every pair on the piece of its image that it covers.

    Args:
        pairs: At least one pair.
        columns: Pairs in a row.
    """
    columns = min(columns, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    figure = Figure(
        figsize=(max(_PANEL_INCHES * columns, 5.0), (_PANEL_INCHES + 0.55) * rows + 0.4),
        dpi=_DPI,
        layout="constrained",
    )
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes, pair in zip(panels.flat, pairs, strict=False):
        _draw_pair(axes, pair)
    for axes in panels.flat[len(pairs) :]:
        axes.set_axis_off()
    handles = [
        Line2D([], [], color=WORSE, linewidth=2, label="kept"),
        Line2D(
            [], [], color=BETTER, linewidth=2, linestyle="--", label="suppressed, better placed"
        ),
        Line2D([], [], color="white", linewidth=2, linestyle=":", label="ground truth"),
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=3, facecolor="0.75", fontsize=9
    )
    return figure


def _draw_pair(axes: Axes, pair: SuppressedPair) -> None:
    axes.imshow(pair.image, interpolation="nearest")
    styles = (
        (pair.gt_box, "white", ":", 1.4),
        (pair.kept_box, WORSE, "-", 2.0),
        (pair.suppressed_box, BETTER, "--", 2.0),
    )
    for (x1, y1, x2, y2), colour, line, width in styles:
        corner = (x1 - 0.5, y1 - 0.5)
        # A dark or light edge beneath keeps a line visible on its own colour.
        for edge, extra in (("black" if colour == "white" else "white", 1.4), (colour, 0)):
            axes.add_patch(
                Rectangle(
                    corner,
                    x2 - x1,
                    y2 - y1,
                    fill=False,
                    edgecolor=edge,
                    linestyle="-" if extra else line,
                    linewidth=width + extra,
                )
            )
    corners = np.stack([pair.gt_box, pair.kept_box, pair.suppressed_box])
    low, high = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    # Square, so that all panels are alike.
    half = (high - low).max() * (0.5 + _MARGIN)
    middle = (low + high) / 2 - 0.5
    axes.set(
        xlim=(middle[0] - half, middle[0] + half),
        ylim=(middle[1] + half, middle[1] - half),
        xticks=[],
        yticks=[],
        # Beyond the edge of the image.
        facecolor="0.93",
    )
    axes.spines[:].set_visible(False)
    lines = (
        (f"suppressed: score {pair.suppressed[0]:.2f}, IoU {pair.suppressed[1]:.2f}", BETTER),
        (f"kept: score {pair.kept[0]:.2f}, IoU {pair.kept[1]:.2f}", WORSE),
        (pair.label, "black"),
    )
    # A title has one colour; an empty one of three lines keeps their room.
    axes.set_title("\n" * len(lines), fontsize=_FONT_SIZE)
    for number, (text, colour) in enumerate(lines):
        axes.annotate(
            text,
            (0.5, 1),
            xytext=(0, 3 + 1.3 * _FONT_SIZE * number),
            xycoords="axes fraction",
            textcoords="offset points",
            color=colour,
            fontsize=_FONT_SIZE,
            horizontalalignment="center",
        )
