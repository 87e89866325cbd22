import logging
from types import SimpleNamespace

import pytest
import torch
from mmdet.utils import register_all_modules
from tiny import faster_rcnn, retinanet, wrapper
from tiny_run import config_dict, write_config, write_data
from torch import nn

from tbd.compat import load_checkpoint
from tbd.engine import LossPhaseHook, train
from tbd.losses import TwoPhaseLoss
from tbd.registry import MODELS

PHASED = dict(
    type="tbd.TwoPhaseLoss",
    first=dict(type="CrossEntropyLoss"),
    second=dict(type="tbd.InfluenceBalancedLoss", alpha=100.0, class_counts="auto"),
)


@pytest.fixture(autouse=True, scope="module")
def _registered():
    register_all_modules()


def phased_faster_rcnn():
    config = faster_rcnn()
    config["roi_head"]["bbox_head"].update(type="tbd.InfluenceBalancedBBoxHead", loss_cls=PHASED)
    return config


def second_steps(hook, epochs, iterations, start=0, model=None):
    """Iterations that a loop from epoch ``start`` on would train in the second phase."""
    model = model or nn.Sequential(MODELS.build(PHASED))
    (loss,) = [part for part in model.modules() if isinstance(part, TwoPhaseLoss)]
    runner = SimpleNamespace(
        model=model, logger=logging.getLogger(), max_epochs=epochs, max_iters=epochs * iterations
    )
    hook.before_train(runner)
    steps = []
    for epoch in range(start, epochs):
        runner.epoch, runner.iter = epoch, epoch * iterations
        hook.before_train_epoch(runner)
        for index in range(iterations):
            runner.iter = epoch * iterations + index
            hook.before_train_iter(runner, index)
            if loss.second_phase:
                steps.append(runner.iter)
    return steps


def test_changes_at_the_epoch_or_the_iteration():
    assert second_steps(LossPhaseHook(epoch=2), 4, 3) == [6, 7, 8, 9, 10, 11]
    assert second_steps(LossPhaseHook(iteration=4), 4, 3) == [4, 5, 6, 7, 8, 9, 10, 11]
    assert second_steps(LossPhaseHook(epoch=0), 1, 2) == [0, 1]


def test_a_resumed_run_is_in_the_phase_of_its_counter():
    assert second_steps(LossPhaseHook(epoch=2), 4, 3, start=1) == [6, 7, 8, 9, 10, 11]
    assert second_steps(LossPhaseHook(iteration=4), 4, 3, start=2) == [6, 7, 8, 9, 10, 11]
    # From an earlier checkpoint, the second phase is left again.
    model = nn.Sequential(MODELS.build(PHASED))
    hook = LossPhaseHook(epoch=2)
    assert second_steps(hook, 4, 3, start=3, model=model) == [9, 10, 11]
    assert second_steps(hook, 4, 3, start=1, model=model) == [6, 7, 8, 9, 10, 11]


def test_the_student_of_a_distillation_has_phases():
    model = MODELS.build(
        wrapper(student=phased_faster_rcnn(), teacher=faster_rcnn(width=8), distill=dict())
    )
    assert second_steps(LossPhaseHook(epoch=1), 2, 1, model=model) == [1]


def test_the_model_may_be_wrapped(monkeypatch):
    class Wrapper(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    monkeypatch.setattr(
        "tbd.engine.wrappers.is_model_wrapper", lambda model: isinstance(model, Wrapper)
    )
    model = Wrapper(nn.Sequential(MODELS.build(PHASED)))
    assert second_steps(LossPhaseHook(epoch=1), 2, 1, model=model) == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(), "epoch=None and iteration=None"),
        (dict(epoch=1, iteration=2), "epoch=1 and iteration=2"),
        (dict(iteration=-1), "iteration=-1"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        LossPhaseHook(**options)


def test_a_model_without_phases_is_refused():
    runner = SimpleNamespace(model=MODELS.build(wrapper(student=retinanet(), distill=dict())))
    with pytest.raises(ValueError, match=r"LossPhaseHook.*TeacherStudentDetector.*TwoPhaseLoss"):
        LossPhaseHook(epoch=1).before_train(runner)


@pytest.mark.parametrize("options", [dict(epoch=4), dict(iteration=12)])
def test_a_second_phase_that_never_comes_is_refused(options):
    with pytest.raises(ValueError, match=r"(epoch=4, .* 4 of them|iteration=12, .* 12 of them)"):
        second_steps(LossPhaseHook(**options), 4, 3)


@pytest.mark.slow
def test_a_run_resumed_in_the_second_phase_ends_with_the_same_weights(tmp_path):
    write_data(tmp_path / "data")

    def config(name, epochs, **phase):
        content = config_dict(tmp_path / "data", phased_faster_rcnn(), epochs=3)
        content["train_cfg"]["max_epochs"] = epochs
        content["custom_hooks"] = [
            dict(type="tbd.ClassCountsHook", min_count=1),
            dict(type="tbd.LossPhaseHook", **phase),
        ]
        return write_config(tmp_path / f"{name}.py", content)

    def weights(folder):
        return load_checkpoint(tmp_path / folder / "epoch_3.pth")["state_dict"]

    train(config("run", 3, epoch=1), str(tmp_path / "whole"))
    train(config("short", 2, epoch=1), str(tmp_path / "resumed"))
    train(str(tmp_path / "run.py"), str(tmp_path / "resumed"), resume="auto")
    whole, resumed = weights("whole"), weights("resumed")
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())
    # The phase does make a difference.
    train(config("later", 3, epoch=2), str(tmp_path / "later"))
    assert not torch.equal(
        whole["roi_head.bbox_head.fc_cls.weight"],
        weights("later")["roi_head.bbox_head.fc_cls.weight"],
    )
