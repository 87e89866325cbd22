"""Boxes of several detectors on the same images, side by side."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tbd.files import replacing
from tbd.visualization.palette import OKABE_ITO

_PANEL_INCHES = 3.0
_DPI = 150
# Of a label, as a fraction of the panel.
_TEXT_HEIGHT = 0.06


@dataclass(frozen=True)
class Boxes:
    """Boxes on one image.

    Args:
        boxes: Corners [N, 4], ``x1, y1, x2, y2`` in pixels.
        labels: Class indices [N].
        scores: Scores [N] in [0, 1], or None for ground truth.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None


def draw_comparison(
    images: Sequence[np.ndarray],
    columns: Mapping[str, Sequence[Boxes]],
    classes: Sequence[str],
    path: str | os.PathLike[str],
    score_thr: float = 0.3,
) -> None:
    """Draw one row per image and one column per set of boxes, and write them as a PNG file.

    Args:
        images: Images [H, W, 3], uint8, RGB; small ones are enlarged.
        columns: Title → boxes on each of the images, in the order of the columns.
        classes: Class names.
        path: File to write; missing folders are made.
        score_thr: Smallest score that is drawn, in [0, 1].

    Raises:
        ValueError: There is no image or no column, or a column has not one entry per image.
    """
    if not images or not columns:
        raise ValueError(f"nothing to draw: {len(images)} images, {len(columns)} columns.")
    for title, entries in columns.items():
        if len(entries) != len(images):
            raise ValueError(
                f"column {title!r} has {len(entries)} entries for {len(images)} images."
            )
    height, width = images[0].shape[:2]
    figure = Figure(
        figsize=(_PANEL_INCHES * len(columns), _PANEL_INCHES * height / width * len(images)),
        dpi=_DPI,
        layout="constrained",
    )
    axes = figure.subplots(len(images), len(columns), squeeze=False)
    for column, (title, entries) in enumerate(columns.items()):
        axes[0, column].set_title(title, fontsize=11)
        for row, (image, boxes) in enumerate(zip(images, entries, strict=True)):
            axes[row, column].imshow(image, interpolation="nearest")
            axes[row, column].set_axis_off()
            _draw_boxes(axes[row, column], boxes, classes, score_thr)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_boxes(axes: Axes, boxes: Boxes, classes: Sequence[str], score_thr: float) -> None:
    image_height = axes.images[0].get_size()[0]
    order = range(len(boxes.boxes)) if boxes.scores is None else np.argsort(boxes.scores)
    for index in order:
        score = None if boxes.scores is None else float(boxes.scores[index])
        if score is not None and score < score_thr:
            continue
        x1, y1, x2, y2 = (float(v) for v in boxes.boxes[index])
        label = int(boxes.labels[index])
        colour = OKABE_ITO[label % len(OKABE_ITO)]
        # imshow puts the centre of pixel 0 at 0, boxes put its left edge there.
        corner = (x1 - 0.5, y1 - 0.5)
        # A white edge beneath keeps the box visible on an image of its own colour.
        for edge, line_width in (("white", 3.2), (colour, 1.8)):
            axes.add_patch(
                Rectangle(corner, x2 - x1, y2 - y1, fill=False, edgecolor=edge, lw=line_width)
            )
        axes.text(
            *corner,
            classes[label] if score is None else f"{classes[label]} {score:.2f}",
            fontsize=6.5,
            # Near the upper edge the text would leave the image: it goes inside the box.
            verticalalignment="top" if y1 < _TEXT_HEIGHT * image_height else "bottom",
            bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": colour},
            clip_on=True,
        )
