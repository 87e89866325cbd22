"""What must hold for any figure: every text inside it, none over another."""

from itertools import combinations
from unittest import mock

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

_TOLERANCE = 1.0
"""Pixels by which the boxes of two texts may touch."""


def check_texts(figure: Figure) -> list[str]:
    """Check the texts that are drawn in a figure and return them."""
    drawn: list[Text] = []
    draw = Text.draw

    def record(text, renderer, *args, **kwargs):
        drawn.append(text)
        draw(text, renderer, *args, **kwargs)

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # The first drawing settles the layout.
    with mock.patch.object(Text, "draw", record):
        canvas.draw()
    boxes = [
        (text.get_text(), text.get_window_extent(canvas.get_renderer()))
        for text in dict.fromkeys(drawn)
        if text.get_text().strip()
    ]
    width, height = canvas.get_width_height()
    for content, box in boxes:
        inside = box.x0 > -_TOLERANCE and box.y0 > -_TOLERANCE
        inside &= box.x1 < width + _TOLERANCE and box.y1 < height + _TOLERANCE
        assert inside, f"{content!r} leaves the figure: {box}"
    for (first, a), (second, b) in combinations(boxes, 2):
        overlap_x = min(a.x1, b.x1) - max(a.x0, b.x0)
        overlap_y = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(overlap_x, overlap_y) <= _TOLERANCE, f"{first!r} lies over {second!r}"
    return [content for content, _ in boxes]
