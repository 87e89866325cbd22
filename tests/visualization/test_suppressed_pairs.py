import numpy as np
import pytest
from figures import check_texts
from matplotlib.colors import to_hex

from tbd.visualization.palette import BETTER, WORSE
from tbd.visualization.suppressed_pairs import SuppressedPair, draw_suppressed_pairs


def make_pair(corner=10.0):
    gt = np.array([corner, 10, corner + 20, 30])
    return SuppressedPair(
        image=np.zeros((64, 64, 3), np.uint8),
        gt_box=gt,
        kept_box=gt + 5,
        suppressed_box=gt + 1,
        kept=(0.91, 0.62),
        suppressed=(0.4, 0.87),
        label="hedgehog, image 12345",
    )


@pytest.mark.parametrize("count", [1, 5])
def test_texts_are_apart(count):
    texts = check_texts(draw_suppressed_pairs([make_pair()] * count))
    assert texts.count("kept: score 0.91, IoU 0.62") == count
    assert texts.count("suppressed: score 0.40, IoU 0.87") == count
    assert texts.count("hedgehog, image 12345") == count


def test_each_box_has_its_colour_and_lies_in_view():
    # Near the edge, so that the view leaves the image.
    figure = draw_suppressed_pairs([make_pair(corner=40.0)])
    axes = figure.axes[0]
    frames = {to_hex(p.get_edgecolor()).upper(): p.get_bbox() for p in axes.patches}
    assert (frames[WORSE].x0, frames[WORSE].y1) == (44.5, 34.5)
    assert (frames[BETTER].x0, frames[BETTER].y1) == (40.5, 30.5)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert right - left == pytest.approx(bottom - top)
    for box in frames.values():
        assert left < box.x0
        assert box.x1 < right
        assert top < box.y0
        assert box.y1 < bottom
