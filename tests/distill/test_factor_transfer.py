import copy
import math

import numpy as np
import pytest
import tiny
import torch
from distilled import distilled, feature_spec, half_precision_views
from reference import reference
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu
from views import view

from tbd.detectors.balance import loss_scales
from tbd.distill import FactorTransfer, UnsuitablePairError, factor_transfer_loss
from tbd.registry import MODELS

VARIATIONAL = dict(type="tbd.ConvVariationalAutoEncoder")


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(**options):
    torch.manual_seed(0)
    term = FactorTransfer(**options)
    term.connect(feature_spec("student", 3, 3), feature_spec("teacher", 4, 4))
    return term.double().train()


def features(seed, channels):
    return random(seed, 2, channels, 5, 4), random(seed + 1, 2, channels, 1, 1)


def encoded(encoder, features):
    """What the three convolutions say, written out."""
    first, second, third = (layer for layer in encoder if hasattr(layer, "weight"))
    hidden = leaky_relu(conv2d(features, first.weight, first.bias, padding=1), 0.1)
    hidden = leaky_relu(conv2d(hidden, second.weight, second.bias, padding=1), 0.1)
    return conv2d(hidden, third.weight, third.bias, padding=1)


def decoded(decoder, factor):
    first, second, third = decoder.convolutions
    hidden = leaky_relu(conv_transpose2d(factor, first.weight, first.bias, padding=1), 0.1)
    hidden = leaky_relu(conv_transpose2d(hidden, second.weight, second.bias, padding=1), 0.1)
    return conv_transpose2d(hidden, third.weight, third.bias, padding=1)


def scaled(features):
    return torch.stack([image / math.sqrt((image**2).mean().item()) for image in features])


@pytest.mark.parametrize("p", [1, 2])
def test_loss_is_the_distance_of_unit_vectors(p):
    factor_s, factor_t = random(0, 3, 2, 4, 5), random(1, 3, 2, 4, 5)
    total = 0.0
    for own, other in zip(factor_s.numpy(), factor_t.numpy(), strict=True):
        difference = other / math.sqrt((other**2).sum()) - own / math.sqrt((own**2).sum())
        total += (np.abs(difference) ** p).sum() ** (1 / p)
    assert factor_transfer_loss(factor_s, factor_t, p).item() == pytest.approx(total / 3, rel=1e-12)


@pytest.mark.parametrize("p", [1, 2])
def test_gradient_is_that_of_the_formula_and_the_teacher_is_constant(p):
    factor_s, factor_t = random(0, 2, 3, 2, 2).requires_grad_(), random(1, 2, 3, 2, 2)
    factor_t.requires_grad_()
    factor_transfer_loss(factor_s, factor_t, p).backward()
    assert factor_t.grad is None
    for own, other, found in zip(
        factor_s.detach().numpy(), factor_t.detach().numpy(), factor_s.grad.numpy(), strict=True
    ):
        length = np.sqrt((own**2).sum())
        unit = own / length
        difference = unit - other / np.sqrt((other**2).sum())
        outer = np.sign(difference) if p == 1 else difference / np.sqrt((difference**2).sum())
        expected = (outer - unit * (unit * outer).sum()) / length / 2
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)


def test_value_and_gradient_are_those_of_the_public_code():
    arrays = reference("factor_transfer")
    factor_s = arrays["factor_s"].requires_grad_()
    # The public code takes the mean over the factor's elements, the paper the norm.
    loss = factor_transfer_loss(factor_s, arrays["factor_t"], p=1) / factor_s[0].numel()
    (gradient,) = torch.autograd.grad(loss, factor_s)
    torch.testing.assert_close(loss, arrays["loss"], rtol=1e-10, atol=0)
    torch.testing.assert_close(gradient, arrays["gradient"], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("p", [1, 2])
def test_equal_factors_and_factors_of_zero_have_finite_gradients(p):
    factor = random(0, 2, 3, 2, 2)
    for own, other in ((factor, factor), (factor, 0 * factor)):
        own = own.clone().requires_grad_()
        loss = factor_transfer_loss(own, other, p)
        loss.backward()
        assert loss.isfinite()
        assert own.grad.isfinite().all()
    # Only the direction counts.
    assert factor_transfer_loss(3 * factor, factor, p).item() == pytest.approx(0, abs=1e-12)


def test_other_shapes_and_norms_are_refused():
    with pytest.raises(ValueError, match=r"factor_s \[1, 2, 3, 3\] and factor_t \[1, 2, 3, 4\]"):
        factor_transfer_loss(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 4), 1)
    with pytest.raises(ValueError, match="p=3 must be 1 or 2"):
        factor_transfer_loss(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3), 3)


def test_the_paraphraser_learns_to_reconstruct_and_nothing_else_does():
    term = build(reconstruction_weight=2.0)
    term.set_phase(paraphrasing=True)
    student = tuple(level.requires_grad_() for level in features(0, 3))
    teacher = features(5, 4)
    result = term(view(features=student), view(features=teacher))
    errors = []
    for paraphraser, level in zip(term.paraphrasers, teacher, strict=True):
        target = scaled(level)
        rebuilt = decoded(paraphraser.decoder, encoded(paraphraser.encoder, target))
        errors.append((rebuilt - target).square().mean())
    assert result.keys() == {"loss_reconstruction", "error_0", "error_1"}
    assert result["error_1"].item() == pytest.approx(errors[1].item())
    torch.testing.assert_close(result["loss_reconstruction"], 2 * (errors[0] + errors[1]))
    parameters = list(term.paraphrasers.parameters())
    expected = torch.autograd.grad(2 * (errors[0] + errors[1]), parameters)
    result["loss_reconstruction"].backward()
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert all(level.grad is None for level in student)
    assert set(term.idle_parameters()) == set(term.translators.parameters())
    assert all(parameter.grad is None for parameter in term.idle_parameters())
    assert int(term.paraphraser_steps) == 1


@pytest.mark.parametrize("p", [1, 2])
def test_the_translator_learns_the_frozen_paraphrasers_factor(p):
    term = build(p=p, loss_weight=3.0)
    term.paraphraser_steps.fill_(1)
    term.set_phase(paraphrasing=False)
    student = tuple(level.requires_grad_() for level in features(0, 3))
    teacher = features(5, 4)
    total = 0.0
    for translate, paraphraser, own, other in zip(
        term.translators, term.paraphrasers, student, teacher, strict=True
    ):
        pair = encoded(translate, own), encoded(paraphraser.encoder, scaled(other)).detach()
        assert pair[0].shape == pair[1].shape == (2, 2, *own.shape[2:])
        units = [factor / factor.pow(2).sum((1, 2, 3), keepdim=True).sqrt() for factor in pair]
        difference = (units[1] - units[0]).abs().pow(p).sum((1, 2, 3)).pow(1 / p).mean()
        total = total + difference / (math.sqrt(pair[0][0].numel()) if p == 1 else 1)
    result = term(view(features=student), view(features=teacher))
    assert result.keys() == {"loss_factor"}
    torch.testing.assert_close(result["loss_factor"], 3 * total)
    learning = [*term.translators.parameters(), *student]
    expected = torch.autograd.grad(3 * total, learning)
    result["loss_factor"].backward()
    for tensor, gradient in zip(learning, expected, strict=True):
        torch.testing.assert_close(tensor.grad, gradient)
    assert set(term.idle_parameters()) == set(term.paraphrasers.parameters())
    assert all(parameter.grad is None for parameter in term.idle_parameters())


def test_the_factor_of_a_variational_paraphraser_is_its_mean():
    term = build(paraphraser=VARIATIONAL)
    student, teacher = (view(features=features(seed, seed)) for seed in (3, 4))
    term.set_phase(paraphrasing=True)
    learning = term(student, teacher)
    assert {"loss_reconstruction", "loss_kl"} < learning.keys()
    for level, (paraphraser, features_t) in enumerate(
        zip(term.paraphrasers, teacher.features, strict=True)
    ):
        target = scaled(features_t)
        rebuilt = decoded(paraphraser.decoder, encoded(paraphraser.encoder, target)[:, :2])
        torch.testing.assert_close(
            learning[f"error_{level}"], (rebuilt - target).square().mean().detach()
        )
    # The code is drawn anew, and the draws go on from a checkpoint.
    state = copy.deepcopy(term.state_dict())
    again = term(student, teacher)["loss_reconstruction"]
    assert again != learning["loss_reconstruction"]
    term.load_state_dict(state)
    assert term(student, teacher)["loss_reconstruction"] == again
    term.set_phase(paraphrasing=False)
    losses = []
    for translate, paraphraser, own, other in zip(
        term.translators, term.paraphrasers, student.features, teacher.features, strict=True
    ):
        mean = encoded(paraphraser.encoder, scaled(other))[:, :2]
        loss = factor_transfer_loss(encoded(translate, own), mean, 1)
        losses.append(loss / math.sqrt(mean[0].numel()))
    for _ in range(2):
        torch.testing.assert_close(term(student, teacher)["loss_factor"], sum(losses))


def test_batch_norm_of_a_frozen_paraphraser_keeps_its_statistics():
    term = build(paraphraser=dict(batch_norm=True))
    student, teacher = (view(features=features(seed, seed)) for seed in (3, 4))
    term.set_phase(paraphrasing=True)
    term(student, teacher)
    term.set_phase(paraphrasing=False)
    before = copy.deepcopy(term.paraphrasers.state_dict())
    statistics = term.translators[0][1].running_mean.clone()
    term.train()
    term(student, teacher)
    assert all(torch.equal(value, before[k]) for k, value in term.paraphrasers.state_dict().items())
    assert not torch.equal(statistics, term.translators[0][1].running_mean)


def test_a_weight_of_0_leaves_everything_as_it_is():
    term = build(loss_weight=0.0)
    term.set_phase(paraphrasing=True)
    result = term(view(features=features(0, 3)), view(features=features(5, 4)))
    assert result["loss_reconstruction"] == 0


@pytest.mark.parametrize("paraphrasing", [True, False])
def test_half_precision_is_compared_in_float32(paraphrasing):
    term = FactorTransfer()
    shapes = [(2, 4, 3, 3), (2, 4, 1, 1)]
    term.connect(feature_spec("student", 4, 4), feature_spec("teacher", 4, 4))
    term.paraphraser_steps.fill_(1)
    term.set_phase(paraphrasing)
    for key, value in term(*half_precision_views(shapes)).items():
        assert value.dtype == torch.float32, key
        assert value.isfinite()


@pytest.mark.parametrize("kind", ["retinanet", "faster_rcnn"])
@pytest.mark.parametrize("paraphraser", [dict(), VARIATIONAL])
def test_detectors_learn_from_it(kind, paraphraser):
    detector = getattr(tiny, kind)
    term = dict(type="tbd.FactorTransfer", allow_random_paraphraser=True, paraphraser=paraphraser)
    values = distilled(detector(), detector(8, 16), term, idle=["paraphrasers"])
    assert values.keys() == {"loss_factor"}


@pytest.mark.parametrize("kind", ["retinanet", "faster_rcnn"])
def test_in_the_first_phase_the_student_learns_as_if_alone(kind):
    detector = getattr(tiny, kind)
    torch.manual_seed(0)
    model = MODELS.build(
        tiny.wrapper(
            student=detector(),
            teacher=detector(8, 16),
            distill=dict(ft=dict(type="tbd.FactorTransfer")),
        )
    ).train()
    model.init_weights()
    model.terms["ft"].set_phase(paraphrasing=True)
    batch = tiny.batch(model)
    gradients = []
    for run in (model, model.student):
        torch.manual_seed(1)
        model.zero_grad()
        model.parse_losses(run(**copy.deepcopy(batch), mode="loss"))[0].backward()
        gradients.append([p.grad for p in model.student.parameters() if p.grad is not None])
    for distilled_gradient, alone in zip(*gradients, strict=True):
        assert torch.equal(distilled_gradient, alone)


def untrained_model(**options):
    term = dict(type="tbd.FactorTransfer") | options
    return MODELS.build(tiny.wrapper(distill=dict(ft=term))).train()


def test_an_automatic_weight_waits_for_the_transfer():
    torch.manual_seed(0)
    term = dict(type="tbd.FactorTransfer", loss_weight="auto")
    model = MODELS.build(tiny.wrapper(distill=dict(ft=term))).train()
    model.balance._auto._iterations = 2
    model.terms["ft"].set_phase(paraphrasing=True)
    for _ in range(3):
        losses = model(**tiny.batch(model), mode="loss")
    assert losses["ft.loss_reconstruction"] == losses["ft.raw_reconstruction"] > 0
    model.terms["ft"].set_phase(paraphrasing=False)
    for _ in range(2):
        model(**tiny.batch(model), mode="loss")
    assert model.terms["ft"].auto_weight > 0
    model.balance.request_gradients()
    model(**tiny.batch(model), mode="loss")
    norms = model.balance.gradient_norms
    assert norms["ft"] == pytest.approx(norms["student"], rel=1e-3)


def test_a_reconstruction_is_not_said_to_drown_the_students_loss(monkeypatch):
    said = []
    monkeypatch.setattr(loss_scales, "print_log", lambda text, **_: said.append(text))
    term = dict(type="tbd.FactorTransfer", reconstruction_weight=1e3)
    model = MODELS.build(tiny.wrapper(distill=dict(ft=term))).train()
    model.balance._scales._left = 1
    model.terms["ft"].set_phase(paraphrasing=True)
    losses = model(**tiny.batch(model), mode="loss")
    assert losses["ft.loss_reconstruction"] > 100
    assert len(said) == 1
    assert "no term has taken part" in said[0]


def test_an_untrained_paraphraser_is_refused():
    model = untrained_model()
    with pytest.raises(RuntimeError, match=r"not trained, nothing says.*ParaphraserPhaseHook"):
        model(**tiny.batch(model), mode="loss")
    model.terms["ft"].set_phase(paraphrasing=False)
    with pytest.raises(RuntimeError, match=r"not learnt for a single step.*paraphraser_ckpt"):
        model(**tiny.batch(model), mode="loss")


def test_a_paraphraser_comes_from_the_checkpoint_of_an_earlier_run(tmp_path):
    earlier = untrained_model()
    path = str(tmp_path / "earlier.pth")
    torch.save(dict(state_dict=earlier.state_dict()), path)
    with pytest.raises(UnsuitablePairError, match=r"distill\.ft: paraphraser_ckpt=.*not trained"):
        untrained_model(paraphraser_ckpt=path)
    earlier.terms["ft"].paraphraser_steps.fill_(7)
    torch.save(dict(state_dict=earlier.state_dict()), path)
    model = untrained_model(paraphraser_ckpt=path)
    term = model.terms["ft"]
    loaded = term.paraphrasers.state_dict()
    for key, value in earlier.terms["ft"].paraphrasers.state_dict().items():
        assert torch.equal(loaded[key], value)
    assert not any(parameter.requires_grad for parameter in term.paraphrasers.parameters())
    assert model(**tiny.batch(model), mode="loss")["ft.loss_factor"] > 0
    with pytest.raises(
        UnsuitablePairError, match=r"\(size mismatch for 0\.\S+ [^;]*\); .*set rate"
    ):
        untrained_model(paraphraser_ckpt=path, rate=0.25)


def test_a_checkpoint_without_a_paraphraser_or_with_several_is_refused(tmp_path):
    path = str(tmp_path / "plain.pth")
    model = untrained_model()
    torch.save(dict(state_dict=model.student.state_dict()), path)
    with pytest.raises(UnsuitablePairError, match="holds no paraphraser"):
        untrained_model(paraphraser_ckpt=path)
    state = model.state_dict()
    state |= {key.replace(".ft.", ".other."): value for key, value in state.items()}
    torch.save(dict(state_dict=state), path)
    with pytest.raises(UnsuitablePairError, match=r"those of distill\.ft\., distill\.other\."):
        untrained_model(paraphraser_ckpt=path)
    with pytest.raises(FileNotFoundError, match=r"FactorTransfer\.paraphraser_ckpt: no checkpoint"):
        untrained_model(paraphraser_ckpt=str(tmp_path / "missing.pth"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(p=3), "p=3 must be 1 or 2"),
        (dict(rate=0.0), "rate=0.0"),
        (dict(reconstruction_weight=0.0), "reconstruction_weight=0.0"),
        (dict(paraphraser=dict(type="tbd.AutoEncoder")), r"paraphraser\.type='tbd.AutoEncoder'"),
        (dict(paraphraser=dict(channels=(8, 4, 4))), r"paraphraser\.channels=\(8, 4, 4\)"),
        (dict(paraphraser=dict(strides=(2, 2))), r"paraphraser\.strides=\(2, 2\)"),
        (dict(loss_weight=-1.0), "loss_weight=-1.0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FactorTransfer(**options)
