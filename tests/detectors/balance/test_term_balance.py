"""How hard terms act: automatic weights, the first word on scales, measured gradients."""

import logging

import pytest
import tiny
import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper

from tbd.detectors.balance import loss_scales
from tbd.detectors.balance.auto_weights import AutoWeights
from tbd.engine.export import automatic_weights
from tbd.engine.hooks.gradient_shares import gradient_shares
from tbd.registry import MODELS

PKD = "tbd.PearsonFeatureDistillation"
CWD = "tbd.ChannelWiseDistillation"


def build(distill, **options):
    torch.manual_seed(0)
    model = MODELS.build(tiny.wrapper(distill=distill, **options))
    model.init_weights()
    return model.train()


def step(model, data):
    batch = model.data_preprocessor(pseudo_collate(data), True)
    return model.loss(batch["inputs"], batch["data_samples"])


@pytest.fixture
def data():
    return tiny.samples()


def neck_norm(model, data, pick):
    """The norm, by hand: through the gradient that autograd stores on the neck's outputs."""
    outputs = []
    handle = model.student.neck.register_forward_hook(lambda m, i, o: outputs.extend(o))
    losses = step(model, data)
    handle.remove()
    for output in outputs:
        output.retain_grad()
    values = [v for key, v in losses.items() if "loss" in key and pick(key)]
    flat = [part for v in values for part in (v if isinstance(v, list) else [v])]
    sum(flat).backward()
    squares = [float(o.grad.double().square().sum()) for o in outputs if o.grad is not None]
    return sum(squares) ** 0.5


def test_norms_are_those_of_the_stored_gradients(data):
    model = build(dict(pkd=dict(type=PKD, loss_weight=2.0), cwd=dict(type=CWD)))
    model.balance.request_gradients()
    step(model, data)
    found = model.balance.gradient_norms
    assert list(found) == ["student", "pkd", "cwd"]
    for name in found:
        pick = (
            (lambda k: "." not in k) if name == "student" else (lambda k, n=name: k.startswith(n))
        )
        assert found[name] == pytest.approx(neck_norm(model, data, pick), rel=1e-4)
    assert sum(gradient_shares(found).values()) == pytest.approx(1)


def test_automatic_weights_reach_the_share(data):
    terms = dict(
        pkd=dict(type=PKD, loss_weight="auto"),
        cwd=dict(type=CWD, loss_weight="auto"),
        hd=dict(type="tbd.HarmonyDistillation", loss_weight=0.01),
    )
    model = build(terms, auto_share=0.4)
    model.balance._auto._iterations = 3
    for _ in range(3):
        # Without an update every step has the same gradients.
        step(model, data)
    model.balance.request_gradients()
    losses = step(model, data)
    norms = model.balance.gradient_norms
    own = norms["student"]
    assert norms["pkd"] / own == pytest.approx(0.2 / 0.6, rel=1e-3)
    assert norms["cwd"] / own == pytest.approx(0.2 / 0.6, rel=1e-3)
    weight = float(model.terms["pkd"].auto_weight)
    fixed = build({**terms, "pkd": dict(type=PKD, loss_weight=weight)}, auto_share=0.4)
    same = step(fixed, data)["pkd.loss_feature"]
    torch.testing.assert_close(losses["pkd.loss_feature"], same)
    assert model.terms["hd"].auto_weight is None
    # From now on nothing moves it, and an export says what it was.
    state = model.state_dict()
    assert automatic_weights(state) == pytest.approx(
        {name: float(model.terms[name].auto_weight) for name in ("pkd", "cwd")}, rel=1e-5
    )
    resumed = build(terms, auto_share=0.4)
    resumed.load_state_dict(state)
    torch.testing.assert_close(step(resumed, data)["pkd.loss_feature"], losses["pkd.loss_feature"])
    assert not resumed.balance._auto.pending(["pkd", "cwd"])


def test_a_term_that_never_reaches_the_neck_is_refused():
    term = MODELS.build(dict(type=PKD))
    term.weigh_automatically()
    weights = AutoWeights({"pkd": term}, 0.5, iterations=2)
    weights.observe("pkd", torch.tensor(2.0), torch.tensor(0.0))
    assert float(weights.weight("pkd")) == 1
    with pytest.raises(RuntimeError, match=r"distill\.pkd\.loss_weight='auto': in 2 iterations"):
        weights.observe("pkd", torch.tensor(2.0), torch.tensor(0.0))


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_shares_out_of_range_are_refused(share):
    with pytest.raises(ValueError, match="auto_share"):
        build(dict(pkd=dict(type=PKD)), auto_share=share)


def test_measuring_changes_no_step(data):
    terms = dict(pkd=dict(type=PKD, loss_weight=1.0))
    found = []
    for measure in (False, True):
        model = build(terms)
        optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
        for _ in range(2):
            if measure:
                model.balance.request_gradients()
            loss, _ = model.parse_losses(step(model, data))
            optimizer.update_params(loss)
        found.append(model.state_dict())
    for key, value in found[0].items():
        assert torch.equal(value, found[1][key]), key


def test_the_log_says_how_losses_stand(data, monkeypatch):
    said = []

    def say(text, logger, level=logging.INFO):
        said.append((level, text))

    monkeypatch.setattr(loss_scales, "print_log", say)
    parted = dict(type="tbd.FeatureImitation", region="decoupled", background_weight=1e-6)
    terms = dict(pkd=dict(type=PKD, loss_weight=1e3), cwd=dict(type=CWD, loss_weight=1e-3))
    model = build(terms | dict(parted=parted))
    model.balance._scales._left = model.balance._scales._iterations = 2
    for _ in range(3):
        losses = step(model, data)
    own = sum(
        float((sum(v) if isinstance(v, list) else v).detach())
        for key, v in losses.items()
        if "loss" in key and "." not in key
    )
    (level, summary), (warned, warning) = said
    assert (level, warned) == (logging.INFO, logging.WARNING)
    assert (
        f"the student's own {own:.3g}; pkd {float(losses['pkd.loss_feature'].detach()):.3g}"
        in summary
    )
    assert "times, 100% of it object)" in summary
    assert "distill.pkd is" in warning
    ratio = float(losses["pkd.loss_feature"].detach()) / own
    assert f"{1e3 / ratio:.2g} would make them equal" in warning


def test_the_log_has_what_a_loss_is_before_its_weights(data, monkeypatch):
    hub = MessageHub.get_instance("a quarter of the warm-up")
    monkeypatch.setattr(MessageHub, "get_current_instance", classmethod(lambda cls: hub))
    hub.update_info_dict(dict(iter=1, max_iters=100, max_epochs=1))
    terms = dict(
        pkd=dict(type=PKD, loss_weight=6.0),
        automatic=dict(type=PKD, loss_weight="auto"),
        fading=dict(type=PKD, loss_weight=3.0, schedule=dict(warm_up=4)),
    )
    model = build(terms | dict(plain=dict(type=PKD, loss_weight=1.0)))
    losses = step(model, data)
    assert "plain.raw_feature" not in losses
    for name, weight in (
        ("pkd", 6.0),
        ("automatic", model.balance._auto.weight("automatic")),
        ("fading", 3.0 / 4),
    ):
        raw = losses[f"{name}.raw_feature"]
        assert not raw.requires_grad
        torch.testing.assert_close(losses[f"{name}.loss_feature"].detach(), raw * weight)
        assert raw > 0
    total, logged = model.parse_losses(losses)
    assert {"pkd.raw_feature", "automatic.raw_feature"} < logged.keys()
    torch.testing.assert_close(
        total, sum(torch.as_tensor(value) for key, value in logged.items() if "loss_" in key)
    )
