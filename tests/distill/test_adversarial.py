import logging

import pytest
import tiny
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from views import view

from tbd.detectors.balance import loss_scales
from tbd.distill import AdversarialFeatureDistillation, DetectorSpec, adversarial
from tbd.registry import MODELS


def spec(*channels):
    return DetectorSpec("student", "Detector", "neck", channels, ((8, 8),) * len(channels), None)


def build(**options):
    torch.manual_seed(0)
    term = AdversarialFeatureDistillation(hidden_channels=5, **options).double()
    term.connect(spec(3, 3), spec(4, 4))
    return term.double()


def features(seed, channels, requires_grad=False):
    generator = torch.Generator().manual_seed(seed)
    levels = [
        torch.randn(2, channels, *size, generator=generator, dtype=torch.float64)
        for size in ((4, 3), (1, 1))
    ]
    return tuple(level.requires_grad_(requires_grad) for level in levels)


def naive(term, student, teacher):
    """Both sides' losses by separate passes, each with the other side's weights as they are."""
    deceiving = telling = 0.0
    for adapt, judge, own, other in zip(
        term.adaptations, term.discriminators, student, teacher, strict=True
    ):
        fake, real = judge(adapt(own)), judge(other)
        if term.loss == "vanilla":
            zeros, ones = torch.zeros_like(fake), torch.ones_like(fake)
            deceiving = deceiving + binary_cross_entropy_with_logits(fake, ones)
            telling = telling + binary_cross_entropy_with_logits(fake, zeros)
            telling = telling + binary_cross_entropy_with_logits(real, ones)
        else:
            deceiving = deceiving + ((fake - 1) ** 2 / 2).mean()
            telling = telling + ((real - 1) ** 2 / 2).mean() + (fake**2 / 2).mean()
    return deceiving, telling


@pytest.mark.parametrize("loss", ["vanilla", "lsgan"])
def test_values_and_gradients_are_those_of_two_separate_passes(loss):
    term = build(loss=loss, loss_weight=2.0, discriminator_weight=0.5)
    student, teacher = features(0, 3, requires_grad=True), features(1, 4)
    deceiving, telling = naive(term, student, teacher)
    result = term(view(features=student), view(features=teacher))
    torch.testing.assert_close(result["loss_adversarial"], 2 * deceiving)
    torch.testing.assert_close(result["loss_discriminator"], telling)
    sides = list(term.adaptations.parameters()) + list(student)
    judges = list(term.discriminators.parameters())
    expected = torch.autograd.grad(2 * deceiving, sides, retain_graph=True)
    expected += torch.autograd.grad(telling, judges)
    found = torch.autograd.grad(
        result["loss_adversarial"] + result["loss_discriminator"], sides + judges
    )
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other)


def test_accuracy_is_the_share_of_right_answers():
    term = build()
    student, teacher = features(0, 3), features(1, 4)
    result = term(view(features=student), view(features=teacher))
    for level in range(2):
        judge = term.discriminators[level]
        right = [(judge(teacher[level]) > 0), (judge(term.adaptations[level](student[level])) <= 0)]
        expected = torch.cat([part.flatten() for part in right]).double().mean()
        assert result[f"accuracy_{level}"].item() == pytest.approx(expected.item())


def test_a_discriminator_that_is_always_right_is_warned_of(monkeypatch):
    messages = []
    monkeypatch.setattr(adversarial, "print_log", lambda *args: messages.append(args))
    term = build(collapse_after=3)
    for judge in term.discriminators:
        judge[-1] = nn.Sequential(judge[-1])
    # The first level's is right whatever it sees, as the teacher's features are all positive.
    term.adaptations[0] = nn.Conv2d(3, 4, 1).double()
    nn.init.zeros_(term.adaptations[0].weight)
    nn.init.constant_(term.adaptations[0].bias, -1.0)

    class Sign(nn.Module):
        def forward(self, x):
            return x.mean(dim=1, keepdim=True)

    term.discriminators[0] = Sign()
    teacher = tuple(level.abs() for level in features(1, 4))
    for step in range(6):
        term(view(features=features(step, 3)), view(features=teacher))
    assert len(messages) == 2
    text, _, level = messages[0]
    assert "for 3 steps" in text
    assert "levels 0 (from 0)" in text
    assert level == logging.WARNING


def test_the_log_and_automatic_weights_leave_the_discriminators_out(monkeypatch):
    said = []
    monkeypatch.setattr(loss_scales, "print_log", lambda text, **_: said.append(text))
    term = dict(type="tbd.AdversarialFeatureDistillation", discriminator_weight=1e3)
    model = MODELS.build(tiny.wrapper(distill=dict(gan=term))).train()
    model.balance._scales._left = model.balance._scales._iterations = 1
    losses = model(**tiny.batch(model), mode="loss")
    assert losses["gan.loss_discriminator"] > 1e3
    assert f"gan {losses['gan.loss_adversarial'].item():.3g} (" in said[0]
    assert len(said) == 1


def test_half_precision_is_compared_in_float32():
    term = build().float()
    halves = [
        view(features=tuple(level.bfloat16() for level in side))
        for side in (features(0, 3), features(1, 4))
    ]
    assert all(
        value.dtype == torch.float32 for key, value in term(*halves).items() if "loss" in key
    )


@pytest.mark.parametrize("kind", ["retinanet", "faster_rcnn"])
def test_detectors_learn_from_it_beside_others(kind):
    detector = getattr(tiny, kind)
    terms = tiny.wrapper()["distill"] | dict(gan=dict(type="tbd.AdversarialFeatureDistillation"))
    model = MODELS.build(
        tiny.wrapper(student=detector(), teacher=detector(8, 16), distill=terms)
    ).train()
    model.init_weights()
    calls = []
    model.student.backbone.register_forward_hook(lambda *_: calls.append(1))
    losses = model(**tiny.batch(model), mode="loss")
    assert len(calls) == 1
    losses["gan.loss_discriminator"].backward(retain_graph=True)
    assert all(p.grad is None for p in model.student.parameters())
    assert all(p.grad is not None for p in model.distill["gan"].discriminators.parameters())
    losses["gan.loss_adversarial"].backward()
    assert any(p.grad is not None for p in model.student.backbone.parameters())
    assert any(key.startswith("distill.gan.discriminators") for key in model.state_dict())


@pytest.mark.parametrize(
    "arguments",
    [
        dict(loss="wgan"),
        dict(discriminator_weight=0.0),
        dict(hidden_channels=0),
        dict(collapse_after=0),
    ],
)
def test_arguments_out_of_range_are_refused(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=name):
        AdversarialFeatureDistillation(**arguments)
