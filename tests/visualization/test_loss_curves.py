import numpy as np
import pytest

from tbd.visualization.loss_curves import draw_loss_curves, loss_curves


def test_curves_are_the_known_functions_of_p():
    p = np.linspace(0.05, 0.95, 19)
    curves = loss_curves(p, gamma=2.0, alpha=30.0, norm=10.0, epsilon=1e-12)
    cross_entropy, focal, balanced, detached, both = curves
    log = -np.log(p)
    np.testing.assert_allclose(cross_entropy.value, log)
    np.testing.assert_allclose(cross_entropy.gradient, 1 - p)
    np.testing.assert_allclose(focal.value, (1 - p) ** 2 * log)
    np.testing.assert_allclose(balanced.value, 3 * log / (2 * (1 - p)))
    np.testing.assert_allclose(detached.value, balanced.value)
    # A constant factor gives every sample the same pull.
    np.testing.assert_allclose(detached.gradient, 1.5)
    np.testing.assert_allclose(both.value, 1.5 * (1 - p) * log)
    # By the logit, dp = p·(1 − p).
    slope = 1.5 * np.abs(-1 / p / (1 - p) + log / (1 - p) ** 2) * p * (1 - p)
    np.testing.assert_allclose(balanced.gradient, slope)


def test_equal_pictures_are_equal_files(tmp_path):
    for name in ("one.svg", "new/two.svg", "three.png"):
        draw_loss_curves(tmp_path / name)
    one = (tmp_path / "one.svg").read_bytes()
    assert one == (tmp_path / "new" / "two.svg").read_bytes()
    assert b"influence-balanced focal" in one
    assert (tmp_path / "three.png").stat().st_size > 10000


def test_parameters_out_of_range_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"alpha=.* must be finite and positive"):
        draw_loss_curves(tmp_path / "x.svg", alpha=0)
