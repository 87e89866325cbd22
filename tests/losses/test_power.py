import pytest
import torch

from tbd.losses.power import safe_power


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_values_are_those_of_the_power_and_gradients_finite(exponent):
    numbers = [0.0, 0.25, 1.0, 3.0]
    base = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
    power = safe_power(base, exponent)
    # 0 to the power of 0 is 1 in Python too.
    assert power.tolist() == pytest.approx([number**exponent for number in numbers])
    (gradient,) = torch.autograd.grad(power.sum(), base)
    expected = [exponent * number ** (exponent - 1) if number else 0.0 for number in numbers]
    if exponent == 1:
        expected[0] = 1.0
    assert gradient.tolist() == pytest.approx(expected)
