import math

import pytest
import torch

from tbd.losses import (
    DiceLoss,
    FocalTverskyLoss,
    JaccardLoss,
    TverskyLoss,
    dice_loss,
    focal_tversky_loss,
    jaccard_loss,
    tversky_loss,
)


def problem(shape=(3, 5, 7), seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 2, shape, generator=generator)
    return logits, target


def counts(logits, target, weight=None):
    """True positives, false positives and false negatives, pixel by pixel."""
    tp = fp = fn = 0.0
    weights = [1.0] * logits.numel() if weight is None else weight.flatten().tolist()
    for x, t, w in zip(logits.flatten().tolist(), target.flatten().tolist(), weights, strict=True):
        p = 1 / (1 + math.exp(-x))
        tp += w * p * t
        fp += w * p * (1 - t)
        fn += w * (1 - p) * t
    return tp, fp, fn


@pytest.mark.parametrize("smooth", [0.0, 1.0, 7.5])
def test_values_equal_the_formulas(smooth):
    logits, target = problem()
    weight = torch.rand(logits.shape, generator=torch.Generator().manual_seed(1))
    tp, fp, fn = counts(logits, target, weight.double())
    options = dict(smooth=smooth, weight=weight.double())
    dice = 1 - (2 * tp + smooth) / (2 * tp + fp + fn + smooth)
    jaccard = 1 - (tp + smooth) / (tp + fp + fn + smooth)
    tversky = 1 - (tp + smooth) / (tp + 0.2 * fp + 1.4 * fn + smooth)
    assert dice_loss(logits, target, **options).item() == pytest.approx(dice, rel=1e-12)
    assert jaccard_loss(logits, target, **options).item() == pytest.approx(jaccard, rel=1e-12)
    found = tversky_loss(logits, target, 0.2, 1.4, **options).item()
    assert found == pytest.approx(tversky, rel=1e-12)
    found = focal_tversky_loss(logits, target, 0.2, 1.4, 0.6, **options).item()
    assert found == pytest.approx(tversky**0.6, rel=1e-12)


def test_identities():
    logits, target = problem()
    dice = dice_loss(logits, target, smooth=1.0)
    torch.testing.assert_close(tversky_loss(logits, target, 0.5, 0.5, smooth=0.5), dice)
    assert abs(tversky_loss(logits, target, 0.5, 0.5, smooth=1.0) - dice) > 1e-3
    torch.testing.assert_close(
        tversky_loss(logits, target, 0.5, 0.5, smooth=0.0), dice_loss(logits, target, smooth=0.0)
    )
    jaccard = jaccard_loss(logits, target)
    torch.testing.assert_close(tversky_loss(logits, target, 1.0, 1.0), jaccard)
    torch.testing.assert_close(
        focal_tversky_loss(logits, target, 0.3, 0.7, 1.0), tversky_loss(logits, target, 0.3, 0.7)
    )
    # Of the same overlap J = D / (2 − D) in coefficients.
    d = 1 - dice_loss(logits, target, smooth=0.0)
    torch.testing.assert_close(1 - jaccard_loss(logits, target, smooth=0.0), d / (2 - d))


def test_alpha_weighs_false_positives_and_beta_false_negatives():
    target = torch.tensor([1.0, 1, 0, 0])
    too_much, too_little = torch.tensor([9.0, 9, 9, -9]), torch.tensor([9.0, -9, -9, -9])
    for logits, larger, smaller in (
        (too_much, dict(alpha=0.8, beta=0.2), dict(alpha=0.2, beta=0.8)),
        (too_little, dict(alpha=0.2, beta=0.8), dict(alpha=0.8, beta=0.2)),
    ):
        for loss in (tversky_loss, focal_tversky_loss):
            assert loss(logits, target, **larger) > loss(logits, target, **smaller) + 0.05
    # One superfluous pixel beside two hits, without smoothing: 0.8 / 2.8.
    found = tversky_loss(1e4 * too_much, target, 0.8, 0.2, smooth=0.0)
    assert found.item() == pytest.approx(0.8 / 2.8)


@pytest.mark.parametrize("loss", [dice_loss, jaccard_loss, tversky_loss, focal_tversky_loss])
def test_bounds_and_defined_cases(loss):
    logits, target = problem(seed=2)
    assert 0 < loss(logits, target) < 1
    right = 1e4 * (2.0 * target - 1)
    assert loss(right, target, smooth=0.0) == 0
    assert loss(-right, target, smooth=0.0) == 1
    empty = torch.zeros_like(target)
    assert loss(torch.full_like(logits, -1e4), empty) == 0
    assert loss(torch.full_like(logits, -1e4), empty, smooth=0.0) == 0
    assert loss(torch.full_like(logits, -20.0), empty, smooth=0.0) == pytest.approx(1)
    assert loss(torch.full_like(logits, -20.0), empty) < 1e-4
    assert 0.8 < loss(torch.zeros_like(logits), empty) < 1


def test_nearly_perfect_masks_keep_their_digits_in_float32():
    logits = torch.full((64, 64), 18.0)
    target = torch.ones(64, 64)
    exact = dice_loss(logits.double(), target.double())
    assert dice_loss(logits, target).item() == pytest.approx(exact.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: DiceLoss(smooth=-1), "smooth"),
        (lambda: JaccardLoss(smooth=math.nan), "smooth"),
        (lambda: TverskyLoss(alpha=0), "alpha"),
        (lambda: TverskyLoss(beta=-0.5), "beta"),
        (lambda: FocalTverskyLoss(gamma=-1), "gamma"),
        (lambda: FocalTverskyLoss(gamma=0), "gamma"),
        (lambda: tversky_loss(*problem(), alpha=-1), "alpha"),
        (lambda: focal_tversky_loss(*problem(), gamma=-1), "gamma"),
        (lambda: dice_loss(*problem(), smooth=-1), "smooth"),
    ],
)
def test_bad_parameters_are_named(build, name):
    with pytest.raises(ValueError, match=name):
        build()
