from typing import Literal

import pytest
import torch

from tbd.checks import (
    check_at_least_one,
    check_choice,
    check_fraction,
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


@pytest.mark.parametrize("number", [0, -1, 0.9, float("nan")])
def test_what_is_below_1_is_refused_by_name(number):
    check_at_least_one(depth=1)
    with pytest.raises(ValueError, match=r"depth=.* must be at least 1"):
        check_at_least_one(width=4, depth=number)


@pytest.mark.parametrize("number", [-1e-9, 1.1, float("nan")])
def test_what_is_no_fraction_is_refused_by_name(number):
    check_fraction(least=0, most=1)
    with pytest.raises(ValueError, match=r"most=.* must be in \[0, 1\]"):
        check_fraction(least=0, most=number)


def test_an_unknown_name_is_refused_with_those_that_exist():
    check_choice(Literal["a", "b"], kind="a")
    with pytest.raises(ValueError, match=r"kind='c' is unknown; choose one of a, b\."):
        check_choice(Literal["a", "b"], kind="c")


def test_other_shapes_are_refused_by_name():
    check_same_shape(a=torch.zeros(2, 3), b=torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"a \[2, 3\] and b \[2, 1\] must have one shape"):
        check_same_shape(a=torch.zeros(2, 3), b=torch.zeros(2, 1))
    with pytest.raises(ValueError, match=r"a \[1\], b \[1\] and c \[\] must have one shape"):
        check_same_shape(a=torch.zeros(1), b=torch.zeros(1), c=torch.zeros(()))
