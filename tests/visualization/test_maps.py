import numpy as np
import pytest
from figures import check_texts

from tbd.visualization.maps import HARMONY_LIMITS, MapColumn, draw_maps, to_pixels


def make_columns(count, levels, limits=(0.0, 1.0)):
    rng = np.random.default_rng(0)
    return [
        MapColumn(f"$p_{i}$ teacher", [rng.random(size) for size in levels], limits)
        for i in range(count)
    ]


@pytest.mark.parametrize("shape", [(128, 128), (200, 96), (40, 400)])
@pytest.mark.parametrize("limits", [HARMONY_LIMITS, None])
def test_texts_are_apart(shape, limits):
    image = np.zeros((*shape, 3), np.uint8)
    columns = make_columns(7, [(16, 16), (8, 8), (4, 4)], limits)
    figure = draw_maps(image, np.empty((0, 4)), columns, [8, 16, 32], title="$$, image 0, $^")
    texts = check_texts(figure)
    assert texts.count("stride 16") == 1
    assert sum(text.startswith("max ") for text in texts) == (21 if limits is None else 0)


def pixel_of(figure, axes, x, y):
    """Colour of a figure at a point of some axes."""
    pixels = to_pixels(figure)
    column, row = axes.transData.transform((x, y))
    return pixels[int(pixels.shape[0] - row), int(column)].astype(int)


@pytest.mark.parametrize(("offset", "shift"), [(0.5, 0), (0.0, -4)])
def test_a_cell_lies_around_its_prior(offset, shift):
    level = np.zeros((4, 6))
    level[1, 3] = 1
    figure = draw_maps(
        np.zeros((32, 48, 3), np.uint8),
        np.empty((0, 4)),
        [MapColumn("a", [level])],
        [8],
        cell_offset=offset,
    )
    axes = figure.axes[1]
    # The cell's edges in pixels of the image, whose first one is centred at 0.
    left, top = 24 + shift - 0.5, 8 + shift - 0.5
    for x, y, inside in (
        (left + 1, top + 1, True),
        (left + 7, top + 7, True),
        (left - 1, top + 4, False),
        (left + 9, top + 4, False),
        (left + 4, top - 1, False),
        (left + 4, top + 9, False),
    ):
        # The bright end of the colours is yellow, the dark one blue.
        red, _, blue = pixel_of(figure, axes, x, y)
        assert (red > blue) == inside


def test_ground_truth_is_drawn_on_image_and_maps():
    boxes = np.array([[4.0, 4, 20, 12], [8, 8, 30, 30]])
    figure = draw_maps(np.zeros((32, 32, 3), np.uint8), boxes, make_columns(2, [(4, 4)]), [8])
    for axes in figure.axes[:3]:
        frames = {(p.get_x(), p.get_y(), p.get_width(), p.get_height()) for p in axes.patches}
        assert frames == {(3.5, 3.5, 16, 8), (7.5, 7.5, 22, 22)}


def test_a_map_of_zeros_on_its_own_scale():
    column = MapColumn("a", [np.zeros((4, 4))], None)
    figure = draw_maps(np.zeros((32, 32, 3), np.uint8), np.empty((0, 4)), [column], [8])
    assert "max 0" in check_texts(figure)


def test_one_map_per_level():
    with pytest.raises(ValueError, match=r"'\$p_0\$ teacher' has 1 maps for 2 levels"):
        draw_maps(
            np.zeros((8, 8, 3), np.uint8), np.empty((0, 4)), make_columns(1, [(4, 4)]), [8, 16]
        )
