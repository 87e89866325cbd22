import math

import pytest
import torch

from tbd.losses import BCEDiceLoss, ComboLoss, bce_dice_loss, combo_loss, dice_loss


def problem():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, 2, (2, 6, 5), generator=generator)


def cross_entropy(logits, target, positive=1.0, negative=1.0):
    total = 0.0
    for x, t in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        total -= positive * t * math.log(p) + negative * (1 - t) * math.log(1 - p)
    return total / logits.numel()


def test_bce_dice_is_the_weighted_sum():
    logits, target = problem()
    expected = 0.7 * cross_entropy(logits, target) + 2 * dice_loss(logits, target).item()
    found = bce_dice_loss(logits, target, bce_weight=0.7, dice_weight=2.0)
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("alpha", "ce_ratio"), [(0.5, 0.5), (0.8, 0.3), (1.0, 1.0), (0.2, 0.0)])
def test_combo_is_the_papers(alpha, ce_ratio):
    logits, target = problem()
    p = logits.sigmoid()
    dice = (2 * (p * target).sum() + 2.0) / (p.sum() + target.sum() + 2.0)
    weighted = cross_entropy(logits, target, alpha, 1 - alpha)
    expected = ce_ratio * weighted - (1 - ce_ratio) * dice.item()
    found = combo_loss(logits, target, alpha, ce_ratio, smooth=2.0)
    assert found.item() == pytest.approx(expected, rel=1e-11)


def test_alpha_of_combo_weighs_positives():
    missed, superfluous = torch.tensor([-3.0, -9.0]), torch.tensor([9.0, 3.0])
    target = torch.tensor([1.0, 0.0])
    for logits, larger, smaller in ((missed, 0.9, 0.1), (superfluous, 0.1, 0.9)):
        assert combo_loss(logits, target, larger) > combo_loss(logits, target, smaller) + 0.1


def test_the_best_combo_is_ce_ratio_minus_one():
    _, target = problem()
    right = 1e4 * (2.0 * target - 1)
    assert combo_loss(right, target, ce_ratio=0.3).item() == pytest.approx(-0.7)
    void = torch.full_like(target, 255)
    found = combo_loss(problem()[0], void, ce_ratio=0.3, ignore_index=255)
    assert found.item() == pytest.approx(-0.7)
    assert bce_dice_loss(problem()[0], void, ignore_index=255) == 0


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: ComboLoss(alpha=0), "alpha"),
        (lambda: ComboLoss(alpha=1.2), "alpha"),
        (lambda: ComboLoss(ce_ratio=-0.1), "ce_ratio"),
        (lambda: ComboLoss(smooth=-1), "smooth"),
        (lambda: BCEDiceLoss(bce_weight=-1), "bce_weight"),
        (lambda: BCEDiceLoss(dice_weight=math.inf), "dice_weight"),
        (lambda: combo_loss(*problem(), alpha=-1), "alpha"),
    ],
)
def test_bad_parameters_are_named(build, name):
    with pytest.raises(ValueError, match=name):
        build()
