import copy
import warnings

import pytest
import torch
from mmdet.models.losses import CrossEntropyLoss
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from tiny import batch, retinanet

from tbd.losses import (
    InfluenceBalancedFocalLoss,
    InfluenceBalancedLoss,
    SoftmaxFocalLoss,
    TwoPhaseLoss,
    class_balanced_weights,
    influence_balanced_focal_loss,
    influence_balanced_loss,
    softmax_focal_loss,
)


def case(n=6, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=generator, dtype=torch.float64)
    target = torch.randint(0, classes, (n,), generator=generator)
    return logits, target, torch.rand(n, 5, generator=generator, dtype=torch.float64)


def modules(**options):
    """Each loss with its call and what its functional form gives per sample."""
    logits, target, features = case()
    options = options or {}
    yield (
        InfluenceBalancedLoss(50.0, 0.01, **options),
        (logits, target, features),
        influence_balanced_loss(logits, target, features, 50.0, 0.01, reduction="none"),
    )
    yield (
        SoftmaxFocalLoss(2.0, 10.0, **options),
        (logits, target),
        softmax_focal_loss(logits, target, 2.0, 10.0, reduction="none"),
    )
    yield (
        InfluenceBalancedFocalLoss(50.0, 2.0, 0.01, 10.0, **options),
        (logits, target, features),
        influence_balanced_focal_loss(
            logits, target, features, 50.0, 2.0, 0.01, 10.0, reduction="none"
        ),
    )


def test_positional_arguments_are_those_of_the_functions():
    for loss, arguments, expected in modules():
        torch.testing.assert_close(loss(*arguments), expected.mean(), rtol=1e-12, atol=0)
    default = InfluenceBalancedLoss()
    assert (default.alpha, default.epsilon, default.detach_factor) == (1000, 1e-3, False)


def test_reductions_weights_and_averages_are_mmdetections():
    """Where the per-sample losses are the cross entropy, everything must be as with mmdet's."""
    logits, target, _ = case()
    weight = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 1.0])
    calls = [
        dict(),
        dict(weight=weight),
        dict(weight=weight, avg_factor=3.0),
        dict(weight=weight, reduction_override="none"),
        dict(reduction_override="sum"),
        dict(avg_factor=0.0, weight=0 * weight),
        dict(ignore_index=2),
        dict(ignore_index=2, weight=weight, reduction_override="none"),
    ]
    for options in (
        dict(),
        dict(loss_weight=0.3, reduction="sum"),
        dict(ignore_index=1, avg_non_ignore=True),
        dict(class_weight=[1.0, 2.0, 0.0, 0.5]),
    ):
        ours, theirs = SoftmaxFocalLoss(0.0, **options), CrossEntropyLoss(**options)
        for call in calls:
            if "avg_factor" in call and options.get("reduction") == "sum":
                continue
            torch.testing.assert_close(ours(logits, target, **call), theirs(logits, target, **call))
    with pytest.raises(ValueError, match="avg_factor"):
        SoftmaxFocalLoss(0.0, reduction="sum")(logits, target, avg_factor=2.0)


def test_ignored_samples_reach_neither_loss_nor_gradient():
    for loss, (logits, target, *features), expected in modules():
        target = target.clone()
        target[2] = -100
        inputs = [tensor.clone() for tensor in (logits, *features)]
        for tensor in inputs:
            tensor[2] = torch.nan
            tensor.requires_grad_()
        found = loss(inputs[0], target, *inputs[1:], reduction_override="none")
        kept = torch.arange(6) != 2
        torch.testing.assert_close(found[kept], expected[kept])
        assert found[2] == 0
        for tensor, gradient in zip(inputs, torch.autograd.grad(found.sum(), inputs), strict=True):
            assert gradient.isfinite().all()
            assert (gradient[2] == 0).all()
            assert tensor.isnan().any()


def test_all_ignored_is_zero_with_an_average():
    for loss, (logits, target, *features), _ in modules(avg_non_ignore=True):
        value = loss(logits, torch.full_like(target, -100), *features)
        assert value == 0


def test_per_sample_weights_and_average():
    weight = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 1.0])
    for loss, arguments, expected in modules(loss_weight=0.5):
        found = loss(*arguments, weight=weight, avg_factor=4.0)
        torch.testing.assert_close(found, 0.5 * (expected * weight).sum() / 4)


def test_class_counts_become_class_weights_and_leave_no_trace_in_checkpoints():
    counts = [100, 20, 4, 31]
    logits, target, features = case()
    weights = class_balanced_weights(counts)
    loss = InfluenceBalancedLoss(class_counts=counts)
    expected = influence_balanced_loss(logits, target, features, class_weight=weights)
    assert loss(logits, target, features).item() == pytest.approx(expected.item(), rel=1e-12)
    assert loss.state_dict() == {}

    awaiting = SoftmaxFocalLoss(2.0, class_counts="auto")
    with pytest.raises(RuntimeError, match=r"tbd\.ClassCountsHook"):
        awaiting(logits, target)
    awaiting.set_class_counts(counts)
    assert awaiting.class_weight == tuple(weights.tolist())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: InfluenceBalancedLoss(alpha=0), "alpha"),
        (lambda: InfluenceBalancedLoss(epsilon=0), "epsilon"),
        (lambda: SoftmaxFocalLoss(gamma=-1), "gamma"),
        (lambda: SoftmaxFocalLoss(gamma=1, scale=-1), "scale"),
        (lambda: SoftmaxFocalLoss(gamma=1, q_from="p"), "q_from='p'"),
        (lambda: InfluenceBalancedFocalLoss(alpha=-1, gamma=1), "alpha"),
        (lambda: InfluenceBalancedFocalLoss(alpha=1, gamma=-1), "gamma"),
        (lambda: SoftmaxFocalLoss(1, reduction="max"), "reduction='max'"),
        (lambda: SoftmaxFocalLoss(1, class_weight=[1, -1]), r"class_weight\[1\]"),
        (lambda: SoftmaxFocalLoss(1, 1, [1, 1], class_counts="auto"), "give one of them"),
        (lambda: SoftmaxFocalLoss(1, class_counts="guess"), "class_counts='guess'"),
        (lambda: SoftmaxFocalLoss(1, class_counts=[1, 0]), "no samples"),
        (lambda: SoftmaxFocalLoss(1, loss_weight=-1), "loss_weight"),
    ],
)
def test_bad_settings_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_bad_calls_are_named():
    logits, target, features = case()
    with pytest.raises(ValueError, match="weight must have the shape of target"):
        SoftmaxFocalLoss(1)(logits, target, torch.ones(5))
    with pytest.raises(ValueError, match="reduction_override='max'"):
        SoftmaxFocalLoss(1)(logits, target, reduction_override="max")
    with pytest.raises(ValueError, match="features must be"):
        InfluenceBalancedLoss()(logits, target, features[:4])
    with pytest.raises(ValueError, match="target must be labels"):
        SoftmaxFocalLoss(1)(logits, target[:4])


def test_a_mean_over_ignored_samples_too_warns():
    with pytest.warns(UserWarning, match="avg_non_ignore=True"):
        SoftmaxFocalLoss(1, ignore_index=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SoftmaxFocalLoss(1, ignore_index=3, avg_non_ignore=True)


def two_phases(**second):
    second = dict(type="tbd.InfluenceBalancedLoss") | second
    return dict(type="tbd.TwoPhaseLoss", first=dict(type="CrossEntropyLoss"), second=second)


def test_two_phases_are_the_two_losses():
    logits, target, features = case()
    loss = MODELS.build(two_phases(alpha=7.0))
    assert isinstance(loss, TwoPhaseLoss)
    assert loss.use_sigmoid is False
    with pytest.raises(RuntimeError, match=r"tbd\.LossPhaseHook"):
        loss(logits, target)
    loss.second_phase = False
    assert not loss.needs_features
    weight = torch.ones(6)
    torch.testing.assert_close(
        loss(logits, target, weight, avg_factor=2.0),
        CrossEntropyLoss()(logits, target, weight, avg_factor=2.0),
    )
    loss.second_phase = True
    assert loss.needs_features
    expected = InfluenceBalancedLoss(7.0)(logits, target, features, weight, avg_factor=2.0)
    assert loss(logits, target, features, weight, avg_factor=2.0) == expected
    assert copy.deepcopy(loss).second_phase
    assert loss.state_dict() == {}


def test_phases_must_be_of_softmax_classifiers():
    with pytest.raises(
        ValueError, match=r"loss_cls\.second: CrossEntropyLoss has use_sigmoid=True"
    ):
        MODELS.build(two_phases(type="CrossEntropyLoss", use_sigmoid=True))
    with pytest.raises(ValueError, match="SeesawLoss has custom_activation=True"):
        MODELS.build(two_phases(type="SeesawLoss", num_classes=3))


def test_a_dense_head_takes_the_focal_loss():
    register_all_modules()
    config = retinanet(loss_cls=dict(type="tbd.SoftmaxFocalLoss", gamma=1.0))
    model = MODELS.build(ConfigDict(config, _scope_="mmdet"))
    losses = model(**batch(model), mode="loss")
    assert model.bbox_head.cls_out_channels == 4
    sum(losses["loss_cls"]).backward()
    assert all(value.isfinite() and value > 0 for value in losses["loss_cls"])
    assert model.bbox_head.retina_cls.weight.grad.abs().sum() > 0
