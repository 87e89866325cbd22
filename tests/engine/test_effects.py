from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.runner import IterBasedTrainLoop

from tbd.engine.effects import check_effects

VALIDATION = object()


def runner(*hooks, schedulers=(), val_loop=VALIDATION, val_begin=1, loop=SimpleNamespace):
    """A training of 12 epochs of 100 iterations, as far as it is looked at."""
    train_loop = loop.__new__(loop)
    train_loop.val_begin = val_begin
    by_epoch = loop is SimpleNamespace
    return SimpleNamespace(
        hooks=hooks,
        cfg=Config(dict(param_scheduler=list(schedulers))),
        train_loop=train_loop,
        val_loop=val_loop,
        max_epochs=12 if by_epoch else 1,
        max_iters=1200,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(interval=1, save_begin=99), r"save_begin=99 is never reached .* 12 epochs"),
        (dict(interval=20, save_last=False), r"interval=20 with save_last=False writes no"),
        (
            dict(interval=2000, by_epoch=False, save_last=False),
            r"interval=2000 with save_last=False .* 1200 iterations",
        ),
    ],
)
def test_checkpoints_that_are_never_written_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_effects(runner(CheckpointHook(**arguments)))


@pytest.mark.parametrize(
    "arguments",
    [
        dict(interval=20),
        dict(interval=-1, save_last=False),
        dict(interval=12, save_last=False),
        dict(interval=2000, save_begin=1000, by_epoch=False, save_last=False),
    ],
)
def test_those_that_are_written_or_not_wanted_are_let_be(arguments):
    assert check_effects(runner(CheckpointHook(**arguments))) == []


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (EarlyStoppingHook(monitor="coco/bbox_mAP"), "EarlyStoppingHook waits for 'coco/bbox_mAP'"),
        (CheckpointHook(save_best="auto"), r"save_best=\['auto'\] needs validations"),
    ],
)
def test_hooks_that_wait_for_validations_need_some(hook, message):
    with pytest.raises(ValueError, match=message):
        check_effects(runner(hook, val_loop=None))
    assert check_effects(runner(hook)) == []


def test_a_validation_that_is_never_reached_is_refused():
    with pytest.raises(ValueError, match=r"val_begin=13 is never reached .* 12 epochs"):
        check_effects(runner(val_begin=13))
    assert check_effects(runner(val_begin=13, val_loop=None)) == []


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        (dict(milestones=[16, 22]), ["milestones=[16, 22] are never reached by", "12 epochs"]),
        (dict(milestones=[], by_epoch=False), ["milestones=[]", "1200 iterations"]),
        (dict(step_size=12), ["step_size=12 is never reached"]),
        (dict(begin=1500, end=1600, by_epoch=False), ["begin=1500", "end=1600"]),
        (dict(T_max=24, end=24), ["end=24: the training ends before"]),
    ],
)
def test_a_schedule_that_ends_after_the_training_is_said(scheduler, words):
    found = "\n".join(check_effects(runner(schedulers=[scheduler])))
    assert all(word in found for word in words)
    assert found.startswith("param_scheduler[0]")


def test_a_schedule_within_the_training_is_let_be():
    fine = [dict(milestones=[8, 11]), dict(by_epoch=False, begin=0, end=500), dict(T_max=12)]
    assert check_effects(runner(schedulers=fine)) == []


def test_epochs_mean_nothing_to_a_loop_of_iterations():
    scheduler = dict(milestones=[8, 11])
    (found,) = check_effects(runner(schedulers=[scheduler], loop=IterBasedTrainLoop))
    assert "param_scheduler[0].by_epoch=True" in found
    assert "by_epoch=False" in found
