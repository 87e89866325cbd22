"""Maps of a dense head's predictions, beside the image that they belong to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

HARMONY_LIMITS = (1 - math.tanh(1), 1.0)
"""Smallest and greatest harmony score."""

_PANEL_INCHES = 2.1
# Levels beside which the image stands.
_IMAGE_ROWS = 2
_DPI = 150
_COLOURS = "cividis"


@dataclass(frozen=True)
class MapColumn:
    """One quantity on every pyramid level.

    Attributes:
        title: Name of the quantity.
        levels: Per level, the map [H, W].
        limits: Values of the darkest and the brightest colour; None takes 0 and the maximum of
            each map, which is then written beneath it.
    """

    title: str
    levels: Sequence[np.ndarray]
    limits: tuple[float, float] | None = (0.0, 1.0)


def draw_maps(
    image: np.ndarray,
    gt_boxes: np.ndarray,
    columns: Sequence[MapColumn],
    strides: Sequence[int],
    cell_offset: float = 0.5,
    title: str = "",
) -> Figure:
    """Draw one row per pyramid level and one column per quantity, after the image, drawn once.

    Args:
        image: The image [H, W, 3], uint8, RGB, at the size that the detector sees.
        gt_boxes: Ground truth [G, 4], corners in pixels of this image.
        columns: The quantities.
        strides: Pixels per cell of each level.
        cell_offset: Where a cell's prior is centred, in cells from its upper left corner: 0.5 for
            point heads, 0 for MMDetection's anchors.
        title: Title of the figure.

    Raises:
        ValueError: A column has not one map per level.
    """
    for column in columns:
        if len(column.levels) != len(strides):
            raise ValueError(
                f"column {column.title!r} has {len(column.levels)} maps for {len(strides)} levels."
            )
    height, width = image.shape[:2]
    own_scale = any(column.limits is None for column in columns)
    figure, picture, panels, bars = _grid(len(strides), len(columns), height / width, own_scale)
    heading = figure.suptitle(title, fontsize=10, y=1 - 0.08 / figure.get_figheight(), va="top")
    # Columns are named by formulas, the figure by names of the user's.
    heading.set_parse_math(False)
    picture.imshow(image, interpolation="nearest")
    _outline(picture, gt_boxes, "#E69F00")
    for row, stride in enumerate(strides):
        panels[row, 0].set_ylabel(f"stride {stride}", fontsize=8)
        for axes, column in zip(panels[row], columns, strict=True):
            level = column.levels[row]
            low, high = column.limits or (0.0, float(level.max()))
            # imshow puts the centre of pixel 0 at 0, boxes put its left edge there.
            start = (cell_offset - 0.5) * stride - 0.5
            bottom, right = (start + cells * stride for cells in level.shape)
            axes.imshow(
                level,
                cmap=_COLOURS,
                vmin=low,
                vmax=max(high, low + np.finfo(np.float32).eps),
                interpolation="nearest",
                extent=(start, right, bottom, start),
            )
            _outline(axes, gt_boxes, "white")
            if column.limits is None:
                axes.set_xlabel(f"max {high:.2g}", fontsize=7)
    for axes in (picture, *panels.flat):
        # What the maps cover beyond the image is its padding.
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
        # Where no cell is centred.
        axes.set_facecolor("0.6")
    picture.set_title("image", fontsize=9)
    for axes, bar, column in zip(panels[0], bars, columns, strict=True):
        axes.set_title(column.title, fontsize=9)
        _draw_scale(figure, bar, column)
    return figure


def _grid(
    rows: int, columns: int, aspect: float, labelled: bool
) -> tuple[Figure, Axes, np.ndarray, list[Axes]]:
    """The image's axes, panels [rows, columns] and a scale beneath each column.

    Matplotlib's own layouts measure every text, which for so many axes takes longer than all the
    rest of a picture.
    """
    size = np.array([_PANEL_INCHES, _PANEL_INCHES * min(max(aspect, 0.5), 1.6)])
    gap = np.array([0.12, 0.3 if labelled else 0.12])
    bottom, top = 0.55, 0.6
    # As large as its height allows, without a distortion.
    spanned = min(rows, _IMAGE_ROWS)
    image_height = spanned * (size[1] + gap[1]) - gap[1]
    image_size = np.array([size[0] / size[1] * image_height, image_height])
    # Between the image and the maps stand the names of the levels.
    left = 0.15 + image_size[0] + 0.35
    extent = np.array([columns, rows]) * (size + gap) - gap + [left + 0.15, bottom + top]
    figure = Figure(figsize=tuple(extent), dpi=_DPI)

    def add(corner: np.ndarray, width: float, height: float) -> Axes:
        return figure.add_axes((*(corner / extent), width / extent[0], height / extent[1]))

    def axes(column: int, row: int, height: float, above: float) -> Axes:
        corner = np.array([left, bottom + above]) + [column, rows - 1 - row] * (size + gap)
        return add(corner, size[0], height)

    picture = add(np.array([0.15, extent[1] - top - image_height]), *image_size)
    panels = [[axes(c, r, size[1], 0) for c in range(columns)] for r in range(rows)]
    below = -0.3 if labelled else -0.18
    bars = [axes(column, rows - 1, 0.08, below) for column in range(columns)]
    return figure, picture, np.array(panels), bars


def to_pixels(figure: Figure) -> np.ndarray:
    """Draw a figure and return its pixels [H, W, 3], uint8, RGB."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _outline(axes: Axes, boxes: np.ndarray, colour: str) -> None:
    for x1, y1, x2, y2 in boxes:
        # A dark edge beneath keeps the frame visible on bright cells.
        for edge, line_width in (("black", 1.8), (colour, 0.9)):
            axes.add_patch(
                Rectangle(
                    (x1 - 0.5, y1 - 0.5),
                    x2 - x1,
                    y2 - y1,
                    fill=False,
                    edgecolor=edge,
                    linewidth=line_width,
                )
            )


def _draw_scale(figure: Figure, axes: Axes, column: MapColumn) -> None:
    low, high = column.limits or (0.0, 1.0)
    colours = ScalarMappable(Normalize(low, high), _COLOURS)
    bar = figure.colorbar(colours, cax=axes, orientation="horizontal", ticks=[low, high])
    texts = ["0", "max"] if column.limits is None else [f"{low:.2g}", f"{high:.2g}"]
    left, right = bar.ax.set_xticklabels(texts, fontsize=7)
    # Inwards, or they would run into those of the neighbours.
    left.set_horizontalalignment("left")
    right.set_horizontalalignment("right")
    bar.ax.tick_params(length=2)
