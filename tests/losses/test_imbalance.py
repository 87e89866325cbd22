import math

import pytest
import torch
from torch.autograd import gradcheck

from tbd.losses import (
    influence_balanced_focal_loss,
    influence_balanced_loss,
    softmax_focal_loss,
)
from tbd.losses.imbalance import true_class

WEIGHTS = [0.5, 1.5, 1.0, 2.0]


def case(n=7, classes=4, dim=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, classes, generator=generator, dtype=dtype)
    target = torch.randint(0, classes, (n,), generator=generator)
    features = torch.randn(n, dim, generator=generator, dtype=dtype)
    return logits, target, features


def naive(logits, target, features, alpha=None, epsilon=1e-3, gamma=None, scale=1.0, weights=None,
          q_from="cross_entropy"):  # fmt: skip
    """The formulas, sample by sample and class by class, in Python's own numbers."""
    losses = []
    for x, y, h in zip(logits.tolist(), target.tolist(), features.tolist(), strict=True):
        exponentials = [math.exp(value - max(x)) for value in x]
        p = [value / sum(exponentials) for value in exponentials]
        cross_entropy = -math.log(p[y]) * (1 if weights is None else weights[y])
        loss = cross_entropy
        if gamma is not None:
            q = math.exp(-cross_entropy) if q_from == "cross_entropy" else p[y]
            loss = scale * (1 - q) ** gamma * cross_entropy
        if alpha is not None:
            gradient = sum(abs(p[k] - (k == y)) for k in range(len(p)))
            loss *= alpha / (gradient * sum(abs(value) for value in h) + epsilon)
        losses.append(loss)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("seed", range(3))
def test_equal_to_the_formulas(weights, seed):
    logits, target, features = case(seed=seed)
    tensor = None if weights is None else torch.tensor(weights)
    common = dict(weights=weights)

    value = influence_balanced_loss(logits, target, features, 700.0, 0.02, tensor)
    expected = naive(logits, target, features, alpha=700.0, epsilon=0.02, **common)
    assert value.item() == pytest.approx(expected, rel=1e-12)
    norms = features.abs().sum(dim=1)
    assert influence_balanced_loss(logits, target, norms, 700.0, 0.02, tensor).equal(value)
    default = influence_balanced_loss(logits, target, features, class_weight=tensor).item()
    assert default == pytest.approx(
        naive(logits, target, features, alpha=1000, **common), rel=1e-12
    )

    for q_from in ("cross_entropy", "probability"):
        for gamma in (0.0, 0.5, 2.0):
            value = softmax_focal_loss(logits, target, gamma, 10.0, tensor, q_from)
            focal = dict(gamma=gamma, scale=10.0, q_from=q_from, **common)
            expected = naive(logits, target, features, **focal)
            assert value.item() == pytest.approx(expected, rel=1e-12)
            value = influence_balanced_focal_loss(
                logits, target, features, 70.0, gamma, 0.02, 10.0, tensor, q_from=q_from
            )
            expected = naive(logits, target, features, alpha=70.0, epsilon=0.02, **focal)
            assert value.item() == pytest.approx(expected, rel=1e-12)


def test_gradients_are_those_of_finite_differences():
    logits, target, features = case()
    weight = torch.tensor(WEIGHTS, dtype=torch.float64)
    logits.requires_grad_()
    features.requires_grad_()
    assert gradcheck(
        lambda x, h: influence_balanced_loss(x, target, h, class_weight=weight),
        (logits, features),
    )
    for gamma in (0.5, 2.0):
        assert gradcheck(
            lambda x, h, gamma=gamma: influence_balanced_focal_loss(
                x, target, h, 30.0, gamma, class_weight=weight, reduction="none"
            ),
            (logits, features),
        )


def test_a_detached_factor_only_scales_the_gradient_of_the_loss():
    logits, target, features = case()
    logits.requires_grad_()
    residual = logits.detach().softmax(dim=1) - torch.nn.functional.one_hot(target, 4)
    factor = 1000 / (residual.abs().sum(dim=1) * features.abs().sum(dim=1) + 1e-3)
    loss = influence_balanced_loss(logits, target, features, detach_factor=True, reduction="sum")
    (found,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(found, factor[:, None] * residual)
    both = influence_balanced_focal_loss(
        logits, target, features, 1000.0, 2.0, detach_factor=True, reduction="sum"
    )
    focal = softmax_focal_loss(logits, target, 2.0, reduction="none")
    found, expected = (torch.autograd.grad(x, logits)[0] for x in (both, (factor * focal).sum()))
    torch.testing.assert_close(found, expected)


def test_identities():
    logits, target, features = case()
    cross_entropy = torch.nn.functional.cross_entropy(logits, target)
    torch.testing.assert_close(softmax_focal_loss(logits, target, 0.0), cross_entropy)
    balanced = influence_balanced_loss(logits, target, features, 50.0)
    both = influence_balanced_focal_loss(logits, target, features, 50.0, 0.0)
    torch.testing.assert_close(both, balanced)
    # Without influence the factor is alpha / epsilon.
    alone = influence_balanced_loss(logits, target, torch.zeros(7), 5.0, 0.1)
    torch.testing.assert_close(alone, 50 * cross_entropy)


def losses(logits, target, features, gamma):
    yield influence_balanced_loss(logits, target, features)
    yield influence_balanced_loss(logits, target, features, detach_factor=True)
    for q_from in ("cross_entropy", "probability"):
        yield softmax_focal_loss(logits, target, gamma, 10.0, q_from=q_from)
        yield influence_balanced_focal_loss(logits, target, features, 1e3, gamma, q_from=q_from)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [0.0, 30.0, 1e4])
@pytest.mark.parametrize("norm", [0.0, 1e-3, 1e4])
def test_extremes_are_finite(dtype, gamma, size, norm):
    # Perfectly right, perfectly wrong, undecided.
    logits = torch.tensor([[size, -size, 0.0], [-size, size, -size], [0.0, 0.0, 0.0]], dtype=dtype)
    logits.requires_grad_()
    features = torch.full((3, 2), norm / 2, dtype=dtype, requires_grad=True)
    target = torch.tensor([0, 0, 0])
    for loss in losses(logits, target, features, gamma):
        gradients = torch.autograd.grad(loss, (logits, features), allow_unused=True)
        assert loss.isfinite()
        assert loss >= 0
        for gradient in gradients:
            assert gradient is None or gradient.isfinite().all()


def test_nothing_is_lost_near_a_perfect_prediction():
    # 1 − softmax is 0 here, in float64 too; the error is e^(−80).
    logits = torch.tensor([[80.0, 0.0]], dtype=torch.float64)
    seen = true_class(logits, torch.tensor([0]))
    assert seen.cross_entropy.item() == pytest.approx(math.exp(-80), rel=1e-12)
    assert seen.error.item() == pytest.approx(math.exp(-80), rel=1e-12)
    loss = influence_balanced_loss(logits.float(), torch.tensor([0]), torch.ones(1))
    assert loss.item() == pytest.approx(1000 * math.exp(-80) / 1e-3, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast(dtype):
    logits, target, features = case(n=200, dim=64, dtype=torch.float32)
    # The same rounded numbers, computed in either precision.
    logits, features = (5 * logits).to(dtype), (300 * features).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = list(losses(logits, target, features, 2.0))
    full = list(losses(logits.float(), target, features.float(), 2.0))
    for got, expected in zip(half, full, strict=True):
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(logits=torch.zeros(7)), ValueError, "logits must be"),
        (dict(logits=torch.zeros(7, 1)), ValueError, "at least two classes"),
        (dict(logits=torch.zeros(7, 4, dtype=torch.long)), TypeError, "logits"),
        (dict(target=torch.zeros(6, dtype=torch.long)), ValueError, "target must be labels"),
        (dict(target=torch.full((7,), 4)), ValueError, "target must be labels in 0…3, .* 4"),
        (dict(target=torch.full((7,), -1)), ValueError, "target .* -1"),
        (dict(target=torch.zeros(7)), TypeError, "target must hold integer"),
        (dict(features=torch.ones(6, 5)), ValueError, "features must be"),
        (dict(features=torch.ones(7, 5, dtype=torch.long)), TypeError, "features"),
        (dict(alpha=0.0), ValueError, "alpha=0.0 must be finite and positive"),
        (dict(alpha=math.nan), ValueError, "alpha"),
        (dict(epsilon=-1.0), ValueError, "epsilon"),
        (dict(gamma=-0.1), ValueError, "gamma=-0.1 must be finite and not negative"),
        (dict(scale=0.0), ValueError, "scale"),
        (dict(class_weight=torch.ones(3)), ValueError, "class_weight has 3 entries.* 4 classes"),
        (dict(q_from="logits"), ValueError, "q_from='logits'"),
        (dict(reduction="max"), ValueError, "reduction='max'"),
    ],
)
def test_bad_input_is_named(change, error, message):
    logits, target, features = case()
    arguments = dict(logits=logits, target=target, features=features, alpha=1.0, gamma=2.0)
    with pytest.raises(error, match=message):
        influence_balanced_focal_loss(**(arguments | change))


def test_nan_is_found_in_debug_mode():
    logits, target, features = case()
    logits[2, 1] = math.nan
    assert softmax_focal_loss(logits, target, 2.0).isnan()
    with torch.autograd.detect_anomaly(check_nan=False):
        with pytest.raises(ValueError, match="logits hold 1 NaN"):
            softmax_focal_loss(logits, target, 2.0)
        with pytest.raises(ValueError, match="features hold NaN"):
            influence_balanced_loss(case()[0], target, -features.abs().sum(dim=1))
