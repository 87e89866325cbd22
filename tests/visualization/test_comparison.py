import cv2
import numpy as np
import pytest

from tbd.visualization import Boxes, draw_comparison


def make_boxes(scores=None):
    boxes = np.array([[10.0, 10, 40, 40], [20, 30, 60, 50]])
    return Boxes(boxes, np.array([0, 1]), scores)


def render(path, *columns, **kwargs):
    images = [np.full((64, 64, 3), 200, np.uint8)] * 2
    named = {f"column {i}": [boxes, boxes] for i, boxes in enumerate(columns)}
    draw_comparison(images, named, ("one", "two"), path, **kwargs)
    return cv2.imread(str(path))


def test_writes_a_picture_with_a_panel_per_image_and_column(tmp_path):
    one = render(tmp_path / "new" / "one.png", make_boxes())
    three = render(tmp_path / "three.png", *[make_boxes()] * 3)
    assert three.shape[0] == one.shape[0]
    assert three.shape[1] == 3 * one.shape[1]
    # Small images are enlarged.
    assert one.shape[1] > 4 * 64


def test_scores_below_the_threshold_are_not_drawn(tmp_path):
    none = Boxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    below = make_boxes(np.array([0.1, 0.29]))
    empty = render(tmp_path / "empty.png", none)
    np.testing.assert_array_equal(render(tmp_path / "below.png", below), empty)
    assert (render(tmp_path / "low.png", below, score_thr=0.2) != empty).any()


def test_errors_have_another_colour_than_what_is_right(tmp_path):
    scores = np.array([0.9, 0.9])
    pictures = []
    for name, correct in (("right", [True, True]), ("error", [False, False])):
        plain = make_boxes(scores)
        boxes = Boxes(plain.boxes, plain.labels, scores, np.array(correct))
        pictures.append(render(tmp_path / f"{name}.png", boxes))
    blue, orange = ([0xB2, 0x72, 0x00], [0x00, 0x5E, 0xD5])
    # The legend has both; the panels have one of them.
    right, error = (
        [(picture == colour).all(axis=2).sum() for colour in (blue, orange)] for picture in pictures
    )
    assert right[0] > 10 * right[1]
    assert error[1] > 10 * error[0]


def test_names_and_a_note_take_room(tmp_path):
    plain = render(tmp_path / "plain.png", make_boxes())
    told = render(tmp_path / "told.png", make_boxes(), names=("a.jpg", "b.jpg"), note="seed 0")
    assert (plain != told).any()


def test_box_is_drawn_where_it_is(tmp_path):
    box = Boxes(np.array([[16.0, 32.0, 48.0, 56.0]]), np.array([0]))
    empty = Boxes(np.zeros((0, 4)), np.zeros(0, int))
    images = [np.full((64, 64, 3), 200, np.uint8)]
    path = tmp_path / "picture.png"
    draw_comparison(images, {"a": [box], "b": [empty]}, ("",), path)
    picture = cv2.imread(str(path)).astype(int)
    panel = picture[:, : picture.shape[1] // 2]
    # The panel is the grey square; the box differs from it.
    image = (panel == 200).all(axis=2)
    # A few pixels of the legend's letters have that grey too.
    rows, columns = (np.flatnonzero(image.sum(axis=axis) > 50) for axis in (1, 0))
    scale = (columns[-1] - columns[0] + 1) / 64
    inside = panel[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    changed = (inside != 200).any(axis=2)
    # A row through the box's lower half meets its left and right edge only.
    edges = np.flatnonzero(changed[int(50 * scale)]) / scale
    assert edges.min() == pytest.approx(16, abs=1)
    assert edges.max() == pytest.approx(48, abs=1)
    lowest = np.flatnonzero(changed.any(axis=1)).max() / scale
    assert lowest == pytest.approx(56, abs=1)


def test_columns_must_fit_the_images(tmp_path):
    images = [np.zeros((8, 8, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"'a' has 2 entries for 1 images"):
        draw_comparison(images, {"a": [make_boxes()] * 2}, ("one", "two"), tmp_path / "x.png")
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_comparison([], {}, (), tmp_path / "x.png")
