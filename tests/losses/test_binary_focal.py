import math

import pytest
import torch
from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from tbd.losses import BinaryFocalLoss, binary_focal_loss


def problem():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(4, 9, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, 2, (4, 9), generator=generator)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_pixelwise_form_equals_the_formula(gamma):
    logits, target = problem()
    total = 0.0
    for x, t in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        true = p if t else 1 - p
        total += (0.3 if t else 0.7) * (1 - true) ** gamma * -math.log(true)
    found = binary_focal_loss(logits, target, gamma, 0.3)
    assert found.item() == pytest.approx(total / logits.numel(), rel=1e-11)


def test_pixelwise_form_is_mmdetections():
    logits, target = problem()
    expected = py_sigmoid_focal_loss(logits, target, gamma=2.0, alpha=0.25)
    torch.testing.assert_close(binary_focal_loss(logits, target, 2.0, 0.25), expected)


def test_published_form_equals_the_formula():
    logits, target = problem()
    mean = bce(logits, target.double()).item()
    expected = 0.8 * (1 - math.exp(-mean)) ** 2 * mean
    found = binary_focal_loss(logits, target, 2.0, 0.8, pixelwise=False)
    assert found.item() == pytest.approx(expected, rel=1e-12)
    assert found.item() != pytest.approx(binary_focal_loss(logits, target, 2.0).item(), rel=0.01)


def test_both_forms_are_the_cross_entropy_at_gamma_0_and_agree_on_one_pixel():
    logits, target = problem()
    for pixelwise in (True, False):
        found = binary_focal_loss(logits, target, 0.0, pixelwise=pixelwise)
        torch.testing.assert_close(found, bce(logits, target.double()))
    one = logits[:1, :1], target[:1, :1]
    torch.testing.assert_close(
        binary_focal_loss(*one, 2.0), binary_focal_loss(*one, 2.0, pixelwise=False)
    )


def test_tails_are_exact():
    # Far beyond where log(σ) or a softplus with a threshold gives up.
    logits = torch.tensor([30.0, 200.0], dtype=torch.float64)
    found = binary_focal_loss(logits, torch.ones(2), 0.0, per_image=False)
    assert found.item() == pytest.approx(math.exp(-30) / 2, rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (dict(gamma=-0.1), "gamma"),
        (dict(alpha=0), "alpha"),
        (dict(alpha=1.5), "alpha"),
        (dict(alpha=-1, pixelwise=False), "alpha"),
    ],
)
def test_bad_parameters_are_named(arguments, name):
    with pytest.raises(ValueError, match=name):
        BinaryFocalLoss(**arguments)
    with pytest.raises(ValueError, match=name):
        binary_focal_loss(*problem(), **arguments)
