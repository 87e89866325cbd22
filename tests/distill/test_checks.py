import pytest
import torch

from tbd.distill.checks import (
    check_feature_maps,
    check_has_effect,
    check_not_negative,
    check_positive,
    check_same_shape,
)


@pytest.mark.parametrize("number", [-1.0, 0.0, float("nan"), float("inf")])
def test_what_is_not_finite_and_positive_is_refused_by_name(number):
    check_positive(temperature=1e-9)
    with pytest.raises(ValueError, match=r"temperature=.* must be finite and positive"):
        check_positive(alpha=1.0, temperature=number)


@pytest.mark.parametrize("number", [-1e-9, float("nan"), float("inf")])
def test_what_is_negative_or_not_finite_is_refused_by_name(number):
    check_not_negative(weight=0.0)
    with pytest.raises(ValueError, match=r"weight=.* must be finite and not negative"):
        check_not_negative(alpha=1.0, weight=number)


def test_settings_without_effect_are_refused_by_name():
    check_has_effect("with region='all'", near_ratio=(0.5, 0.5), region=("all", "all"))
    with pytest.raises(ValueError, match=r"near_ratio=0.3 has no effect with region='all'; leave"):
        check_has_effect("with region='all'", near_ratio=(0.3, 0.5))


def test_other_shapes_are_refused_by_name():
    check_same_shape(a=torch.zeros(2, 3), b=torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"a \[2, 3\] and b \[2, 1\] must have one shape"):
        check_same_shape(a=torch.zeros(2, 3), b=torch.zeros(2, 1))


@pytest.mark.parametrize("shape", [(1, 2, 3, 4), (1, 2, 3), (2, 2, 3, 3)])
def test_features_that_would_be_broadcast_are_refused(shape):
    with pytest.raises(ValueError, match="must have one shape"):
        check_feature_maps(torch.zeros(shape), torch.zeros(1, 2, 3, 3))
