"""Boxes of several detectors on the same images, side by side."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from tbd.files import replacing
from tbd.visualization.literal import literal
from tbd.visualization.palette import BETTER, OKABE_ITO, WORSE

_PANEL_INCHES = 3.2
_DPI = 150
# Of a label, as a fraction of the panel.
_TEXT_HEIGHT = 0.05
_TRUTH = OKABE_ITO[2]
# Ground truth of more objects is drawn without the names of their classes, which would cover it.
_NAMED = 15


@dataclass(frozen=True)
class Boxes:
    """Boxes on one image.

    Args:
        boxes: Corners [N, 4], ``x1, y1, x2, y2`` in pixels.
        labels: Class indices [N].
        scores: Scores [N] in [0, 1], or None for ground truth.
        correct: Which of them are right [N]; None for ground truth, or where that is not known.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None
    correct: np.ndarray | None = None


@literal
def draw_comparison(
    images: Sequence[np.ndarray],
    columns: Mapping[str, Sequence[Boxes]],
    classes: Sequence[str],
    path: str | os.PathLike[str],
    score_thr: float = 0.3,
    names: Sequence[str] | None = None,
    note: str = "",
) -> None:
    """Draw one row per image and one column per set of boxes, and write them as a PNG file.

    Ground truth has one colour, right boxes another, errors a third.

    Args:
        images: Images [H, W, 3], uint8, RGB; small ones are enlarged.
        columns: Title → boxes on each of the images, in the order of the columns.
        classes: Class names.
        path: File to write; missing folders are made.
        score_thr: Smallest score that is drawn, in [0, 1].
        names: Of the images, such as their files. Default: none are shown.
        note: What stands below, beside the meaning of the colours.

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
    heights = [image.shape[0] / image.shape[1] for image in images]
    figure = Figure(
        figsize=(_PANEL_INCHES * len(columns), _PANEL_INCHES * sum(heights) + 0.6),
        dpi=_DPI,
        layout="constrained",
    )
    axes = figure.subplots(
        len(images), len(columns), squeeze=False, gridspec_kw=dict(height_ratios=heights)
    )
    for column, (title, entries) in enumerate(columns.items()):
        axes[0, column].set_title(title, fontsize=9)
        for row, (image, boxes) in enumerate(zip(images, entries, strict=True)):
            panel = axes[row, column]
            panel.imshow(image, interpolation="nearest")
            panel.set(xticks=[], yticks=[], frame_on=False)
            if names is not None and column == 0:
                panel.set_ylabel(names[row], fontsize=7)
            _draw_boxes(panel, boxes, classes, score_thr)
    meanings = (("ground truth", _TRUTH), ("right", BETTER), ("error", WORSE))
    lines = [Line2D([], [], color=colour, lw=2, label=text) for text, colour in meanings]
    figure.legend(
        handles=lines,
        title=note or None,
        title_fontsize=8,
        fontsize=8,
        loc="outside lower center",
        ncols=len(lines),
        frameon=False,
    )
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
        colour = _TRUTH
        if score is not None:
            wrong = boxes.correct is not None and not boxes.correct[index]
            colour = WORSE if wrong else BETTER
        # imshow puts the centre of pixel 0 at 0, boxes put its left edge there.
        corner = (x1 - 0.5, y1 - 0.5)
        # A white edge beneath keeps the box visible on an image of its own colour.
        for edge, line_width in (("white", 2.2), (colour, 1.2)):
            axes.add_patch(
                Rectangle(corner, x2 - x1, y2 - y1, fill=False, edgecolor=edge, lw=line_width)
            )
        # One class needs no name.
        named = len(classes) > 1 and (score is not None or len(boxes.boxes) <= _NAMED)
        words = [classes[int(boxes.labels[index])]] if named else []
        words += [] if score is None else [f"{score:.2f}"]
        if not words:
            continue
        text_height = _TEXT_HEIGHT * image_height
        # Near the upper edge the text would leave the image: it goes into the box, or beneath a
        # small one, which it would cover.
        leaves = y1 < text_height
        anchor = y2 - 0.5 if leaves and y2 - y1 < 3 * text_height else y1 - 0.5
        axes.text(
            x1 - 0.5,
            anchor,
            # Not as a formula, which dollar signs in a class name would begin.
            " ".join(words),
            fontsize=5,
            color=colour,
            verticalalignment="top" if leaves else "bottom",
            bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
            clip_on=True,
        )
