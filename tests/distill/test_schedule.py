import math

import pytest
import tiny
import torch
from mmengine.logging import MessageHub

from tbd.distill import Progress, WeightSchedule
from tbd.registry import MODELS


def at(iteration, total=100, epochs=10):
    return Progress(iteration, total, epochs)


def factors(schedule, *iterations, **length):
    return [schedule.factor(at(iteration, **length)) for iteration in iterations]


def test_without_settings_the_weight_stays():
    assert factors(WeightSchedule(), 0, 50, 99) == [1.0, 1.0, 1.0]


def test_warm_up_rises_to_one():
    assert factors(WeightSchedule(warm_up=20), 0, 5, 10, 20, 99) == [0.0, 0.25, 0.5, 1.0, 1.0]


def test_epochs_are_counted_in_parts():
    schedule = WeightSchedule(by_epoch=True, warm_up=2, off=3)
    assert factors(schedule, 0, 5, 20, 69) == pytest.approx([0.0, 0.25, 1.0, 1.0])
    assert factors(schedule, 70, 99) == [0.0, 0.0]


def test_a_decay_that_begins_where_it_ends_is_none_before():
    at_the_end = WeightSchedule(decay="linear", decay_from=100, final=0.2)
    assert factors(at_the_end, 0, 50, 99, 100) == pytest.approx([1.0, 1.0, 1.0, 0.2])
    where_off_begins = WeightSchedule(warm_up=10, decay="linear", decay_from=80, off=20)
    assert factors(where_off_begins, 5, 50, 79, 80) == [0.5, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_decay_falls_from_one_to_its_end(shape):
    schedule = WeightSchedule(warm_up=10, decay=shape, decay_from=20, final=0.2, off=20)
    for iteration in range(20, 80):
        part = (iteration - 20) / 60
        fall = part if shape == "linear" else 0.5 - 0.5 * math.cos(math.pi * part)
        assert schedule.factor(at(iteration)) == pytest.approx(1 - 0.8 * fall)
    assert factors(schedule, 10, 15, 80, 99) == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(warm_up=-1), ValueError, r"schedule\.warm_up=-1"),
        (dict(off=math.nan), ValueError, "off=nan"),
        (dict(warm_up="5"), TypeError, "warm_up='5'"),
        (dict(off=True), TypeError, "off=True"),
        (dict(by_epoch="no"), TypeError, "by_epoch='no'"),
        (dict(decay="steps"), ValueError, r"decay='steps'.*linear"),
        (dict(decay="linear", final=2), ValueError, r"schedule\.final=2"),
        (dict(decay_from=5), ValueError, "need schedule.decay"),
        (dict(warm_up=9, decay="linear", decay_from=5), ValueError, "decay_from=5.*warm_up=9"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        WeightSchedule(**arguments)


def test_a_schedule_that_does_not_fit_the_training_is_refused():
    with pytest.raises(ValueError, match=r"warm_up=80.*off=30.*longer than .* 100 iterations"):
        WeightSchedule(warm_up=80, off=30).factor(at(0))
    with pytest.raises(ValueError, match=r"off=100 leaves nothing of a training of 100 iterations"):
        WeightSchedule(off=100).factor(at(0))
    with pytest.raises(ValueError, match=r"by_epoch=True.*max_epochs=1"):
        WeightSchedule(by_epoch=True, warm_up=2).factor(at(0, epochs=1))


@pytest.fixture
def hub(monkeypatch):
    hub = MessageHub.get_instance("schedule")
    monkeypatch.setattr(MessageHub, "get_current_instance", classmethod(lambda cls: hub))
    hub.runtime_info.clear()
    return hub


def test_progress_is_what_the_runner_says(hub):
    assert Progress.of_runner() is None
    # A Runner that only tests knows its iteration, and that there are none to train.
    hub.update_info_dict(dict(iter=0, max_iters=0))
    assert Progress.of_runner() is None
    hub.update_info_dict(dict(iter=7, max_iters=100, max_epochs=10))
    assert Progress.of_runner() == Progress(7, 100, 10)
    # An IterBasedTrainLoop counts no epochs.
    hub.update_info_dict(dict(max_epochs=None))
    assert Progress.of_runner() == Progress(7, 100, 1)


def build(**schedule):
    torch.manual_seed(0)
    terms = tiny.wrapper()["distill"]
    terms["hd"] = terms["hd"] | dict(schedule=schedule)
    model = MODELS.build(tiny.wrapper(distill=terms))
    model.init_weights()
    return model.train()


def step(model, hub, iteration):
    hub.update_info_dict(dict(iter=iteration, max_iters=100, max_epochs=10))
    torch.manual_seed(1)
    return model(**tiny.batch(model), mode="loss")


def test_the_weight_of_a_term_follows_and_the_others_stay(hub):
    model = build(warm_up=10, off=20)
    full = step(model, hub, 50)
    half = step(model, hub, 5)
    torch.testing.assert_close(half["hd.loss_harmony"], full["hd.loss_harmony"] / 2)
    assert half["hd.harmony_student"] == full["hd.harmony_student"]
    assert half["tfd.loss_cls_feature"] == full["tfd.loss_cls_feature"]
    assert half["hd.schedule"] == 0.5
    off = step(model, hub, 80)
    assert not any(key.startswith("hd.") and "loss" in key for key in off)
    assert off["tfd.loss_cls_feature"] == full["tfd.loss_cls_feature"]


def test_the_teacher_rests_where_every_term_is_off(hub):
    model = build(off=20)
    model.distill.pop("tfd")
    calls = []
    model.teacher.backbone.register_forward_hook(lambda *_: calls.append(1))
    step(model, hub, 79)
    assert len(calls) == 1
    step(model, hub, 80)
    assert len(calls) == 1


def test_without_a_runner_a_schedule_is_refused_and_its_term_named(hub):
    model = build(warm_up=10)
    with pytest.raises(RuntimeError, match=r"distill\.hd\.schedule follows the counters"):
        model(**tiny.batch(model), mode="loss")


def test_wrong_settings_name_the_term():
    with pytest.raises(TypeError, match=r"distill\.hd: .*warmup"):
        build(warmup=10)
    with pytest.raises(ValueError, match=r"distill\.hd: schedule\.warm_up=-1"):
        build(warm_up=-1)
