import numpy as np
import pytest
from figures import check_texts

from tbd.visualization.codes import draw_codes


def test_every_code_is_drawn_in_its_class():
    rng = np.random.default_rng(0)
    codes, labels = rng.standard_normal((40, 3)), np.arange(40) % 4
    figure = draw_codes(codes, labels, tuple("0123"), "codes")
    assert "codes" in check_texts(figure)
    clouds = figure.axes[0].collections
    assert len(clouds) == 4
    for label, cloud in enumerate(clouds):
        points = np.stack(cloud._offsets3d, axis=1)
        np.testing.assert_allclose(points, codes[labels == label])
    assert len({tuple(cloud.get_facecolor()[0]) for cloud in clouds}) == 4


def test_other_codes_are_an_error():
    with pytest.raises(ValueError, match=r"\[5, 2\] must be \[M, 3\]"):
        draw_codes(np.zeros((5, 2)), np.zeros(5), ("a",))


def test_a_name_that_matplotlib_takes_for_a_formula_is_drawn():
    figure = draw_codes(np.zeros((2, 3)), np.arange(2), ("$5", ""), "codes")
    assert "codes" in check_texts(figure)
