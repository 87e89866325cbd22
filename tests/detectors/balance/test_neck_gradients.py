import pytest
import torch
from torch import nn

from tbd.detectors.balance.neck_gradients import NeckGradients


class Neck(nn.Module):
    """Two levels: the image times a number, and times its square."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, image):
        return [image * self.scale, image * self.scale**2]


@pytest.fixture
def watched():
    detector = nn.Module()
    detector.neck = Neck()
    with NeckGradients(detector) as watch:
        first, second = detector.neck(torch.tensor([3.0, 4.0]))
    return watch, first, second


def test_gradient_is_that_of_the_sum_of_the_losses_means(watched):
    watch, first, second = watched
    # (6² + 8²) / 2, whose gradient is the level itself; twice the second level's first number.
    losses = {"loss_a": [first.square(), 2 * second[:1]], "accuracy": 1e3 * second.sum()}
    gradient = watch.gradient(losses)
    assert [level.tolist() for level in gradient] == [[6, 8], [2, 0]]
    assert watch.norm(losses).item() == pytest.approx(104**0.5)


def test_outputs_that_no_loss_reaches_have_a_gradient_of_0(watched):
    watch, first, _ = watched
    constant = {"loss": torch.tensor(3.0)}
    for losses, expected in (({"loss": 5 * first[1]}, [[0, 5], [0, 0]]), (constant, [[0, 0]] * 2)):
        assert [level.tolist() for level in watch.gradient(losses)] == expected
    assert watch.norm(constant) == 0


def test_a_frozen_neck_is_reached_by_nothing():
    detector = nn.Module()
    detector.neck = Neck().requires_grad_(False)
    with NeckGradients(detector) as watch:
        detector.neck(torch.ones(2))
    weight = torch.ones((), requires_grad=True)
    assert watch.gradient({"loss": weight}) == []
    assert watch.norm({"loss": weight}) == 0
