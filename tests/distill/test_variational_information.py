import math

import pytest
import tiny
import torch
from torch.nn.functional import softplus
from views import view

from tbd.distill import (
    DetectorSpec,
    VariationalInformationDistillation,
    variational_information_loss,
)
from tbd.registry import MODELS


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spec(*channels):
    return DetectorSpec("student", "Detector", "neck", channels, ((8, 8),) * len(channels), None)


def test_loss_is_the_negative_log_density_but_for_its_constant():
    mean, target = random(0, 2, 3, 4, 5), random(1, 2, 3, 4, 5)
    variance = random(2, 3).exp()
    total = 0.0
    for n in range(2):
        for c in range(3):
            normal = torch.distributions.Normal(mean[n, c], variance[c].sqrt())
            total -= normal.log_prob(target[n, c]).sum().item()
    expected = total / target.numel() - 0.5 * math.log(2 * math.pi)
    assert variational_information_loss(mean, variance, target).item() == pytest.approx(expected)


def test_gradients_are_those_of_finite_differences_and_the_teacher_is_constant():
    mean, target = random(0, 1, 2, 2, 2).requires_grad_(), random(1, 1, 2, 2, 2).requires_grad_()
    variance = random(2, 2).exp().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda m, v: variational_information_loss(m, v, target), (mean, variance)
    )
    variational_information_loss(mean, variance, target).backward()
    assert target.grad is None


def test_the_best_variance_of_a_channel_is_its_mean_squared_error():
    mean, target = random(0, 2, 1, 6, 6), random(1, 2, 1, 6, 6)
    best = (mean - target).square().mean()
    variance = best.view(1).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        variational_information_loss(mean, variance, target), variance
    )
    assert gradient.abs().item() < 1e-9


@pytest.mark.parametrize(
    ("mean", "variance"), [((1, 2, 3, 3), (3,)), ((1, 3, 3, 4), (3,)), ((1, 3, 3, 3), (1,))]
)
def test_other_shapes_are_refused(mean, variance):
    with pytest.raises(ValueError, match="must have one shape"):
        variational_information_loss(
            torch.zeros(mean), torch.ones(variance), torch.zeros(1, 3, 3, 3)
        )


@pytest.mark.parametrize("initial", [2e-5, 0.5, 5.0, 1e4])
def test_variances_begin_as_asked_for(initial):
    term = VariationalInformationDistillation(initial_variance=initial)
    term.connect(spec(4), spec(6))
    variance = softplus(term.raw_variances[0].double()) + 1e-5
    torch.testing.assert_close(variance, torch.full((6,), initial).double(), rtol=1e-3, atol=1e-7)


def test_term_sums_the_levels_and_half_precision_is_compared_in_float32():
    term = VariationalInformationDistillation(loss_weight=3.0, hidden_channels=5)
    term.connect(spec(4, 4), spec(6, 6))
    sizes = [(4, 5), (1, 1)]
    student = [torch.randn(2, 4, *size) for size in sizes]
    teacher = [torch.randn(2, 6, *size) for size in sizes]
    expected = sum(
        variational_information_loss(mean(s), softplus(raw) + 1e-5, t)
        for mean, raw, s, t in zip(term.means, term.raw_variances, student, teacher, strict=True)
    )
    result = term(view(features=tuple(student)), view(features=tuple(teacher)))
    torch.testing.assert_close(result["loss_information"], 3 * expected)
    assert result["variance_1"].item() == pytest.approx(5.0)
    halves = [
        view(features=tuple(level.bfloat16() for level in side)) for side in (student, teacher)
    ]
    assert term(*halves)["loss_information"].dtype == torch.float32


@pytest.mark.parametrize("teacher", [tiny.retinanet(8, 16), tiny.faster_rcnn(8, 16)])
def test_detectors_learn_from_it_and_its_parameters_are_saved(teacher):
    student = tiny.retinanet() if teacher["type"] == "RetinaNet" else tiny.faster_rcnn()
    terms = dict(
        hd=dict(type="tbd.HarmonyDistillation"),
        tfd=None,
        vid=dict(type="tbd.VariationalInformationDistillation"),
    )
    model = MODELS.build(tiny.wrapper(student=student, teacher=teacher, distill=terms)).train()
    model.init_weights()
    losses = model(**tiny.batch(model), mode="loss")
    losses["vid.loss_information"].backward()
    for part in (model.student.backbone, model.student.neck, model.distill["vid"]):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert "distill.vid.raw_variances.0" in model.state_dict()


@pytest.mark.parametrize(
    "arguments",
    [dict(hidden_channels=0), dict(initial_variance=0.0), dict(initial_variance=math.inf)],
)
def test_arguments_out_of_range_are_refused(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=name):
        VariationalInformationDistillation(**arguments)
