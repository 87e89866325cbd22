import pytest
import torch

from tbd.detectors.balance import loss_scales
from tbd.detectors.balance.loss_scales import LossScales


@pytest.fixture
def said(monkeypatch):
    texts = []
    monkeypatch.setattr(loss_scales, "print_log", lambda text, *_, **__: texts.append(text))
    return texts


def numbers(*values):
    return torch.tensor(values)


def test_means_over_the_iterations_are_said_once(said):
    scales = LossScales({"a": None, "b": None}, iterations=2)
    # As a detector adds its losses up: the mean of each tensor, lists summed.
    student = dict(
        loss_cls=[numbers(1.0, 3.0), numbers(2.0)], loss_box=numbers(4.0), acc=numbers(9)
    )
    for a in (1.0, 3.0, 100.0):
        terms = dict(a=dict(loss_x=numbers(a), loss_y=numbers(3 * a)), b=dict(loss=numbers(4.0)))
        scales.observe(student, terms)
    (text,) = said
    assert "first 2 iterations: the student's own 8; " in text
    assert "a 8 (1 times, 75% of it y), b 4 (0.5 times)." in text


def test_losses_of_0_are_no_error(said):
    scales = LossScales({"a": None}, iterations=1)
    nothing = numbers(0.0)
    scales.observe(dict(loss=nothing), dict(a=dict(loss_x=nothing, loss_y=nothing)))
    assert "the student's own 0; a 0 (0 times)." in said[0]
