import numpy as np
import pytest
from figures import check_texts

from tbd.visualization.harmony_figures import (
    draw_calibration,
    draw_iou_histogram,
    draw_score_iou_density,
)
from tbd.visualization.palette import line_look

NAMES = ["teacher", "a plain student with a long name", "$$ in $^"]
NAMES += [f"student {i}" for i in range(5)]


@pytest.mark.parametrize("count", [1, 8])
def test_texts_are_apart(count):
    rng = np.random.default_rng(0)
    names = NAMES[:count]
    histogram = draw_iou_histogram({name: rng.integers(0, 900, 20) for name in names}, 0.3)
    texts = check_texts(histogram)
    assert sum("detections)" in text for text in texts) == count
    density = {name: rng.integers(0, 5000, (50, 50)) for name in names}
    assert set(names) <= set(check_texts(draw_score_iou_density(density, 0.3)))
    bins = {
        name: (np.full(10, 50.0), np.linspace(2, 48, 10), np.sort(rng.uniform(0, 50, 10)))
        for name in names
    }
    assert set(names) <= set(check_texts(draw_calibration(bins, 0.3)))


def test_shares_of_the_histogram():
    figure = draw_iou_histogram({"a": np.array([0, 0, 1, 3]), "nothing": np.zeros(4)}, 0.5)
    first, second = figure.axes[0].lines
    assert first.get_xdata().tolist() == [0.125, 0.375, 0.625, 0.875]
    assert first.get_ydata().tolist() == [0, 0, 25, 75]
    assert second.get_ydata().tolist() == [0, 0, 0, 0]


def test_density_has_the_score_to_the_right_and_the_iou_upwards():
    counts = np.zeros((10, 10), int)
    # A score of 0.9 to 1, an IoU of 0 to 0.1.
    counts[9, 0] = 7
    mesh = draw_score_iou_density({"a": counts}, 0.3).axes[0].collections[0]
    shown = mesh.get_array().reshape(10, 10)
    assert shown[0, 9] == 7
    assert shown.count() == 1


def test_calibration_is_the_mean_of_each_bin_with_enough_detections():
    bins = np.array([10, 9, 20]), np.array([1.0, 3, 18]), np.array([2.0, 3, 10])
    line = draw_calibration({"a": bins}, 0.3).axes[0].lines[-1]
    assert line.get_xdata().tolist() == [0.1, 0.9]
    assert line.get_ydata().tolist() == [0.2, 0.5]


def test_lines_differ_without_colour_too():
    looks = [line_look(index) for index in range(12)]
    assert len({(look["color"], str(look["linestyle"])) for look in looks}) == 12
    assert len({str(look["linestyle"]) for look in looks[:6]}) == 6
    assert len({look["marker"] for look in looks[:6]}) == 6
