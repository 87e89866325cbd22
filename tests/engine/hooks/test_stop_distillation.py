import logging
from types import SimpleNamespace

import pytest
from torch import nn

from tbd.engine import StopDistillationHook


class Distilling(nn.Module):
    def __init__(self):
        super().__init__()
        self.distilling = True

    def stop_distillation(self):
        assert self.distilling, "stopped twice"
        self.distilling = False


def distilled_steps(hook, model, epochs, iterations, start=0):
    """(epoch, iteration) of the steps that a loop from epoch ``start`` on would distill."""
    runner = SimpleNamespace(
        model=model,
        logger=logging.getLogger(),
        max_epochs=epochs,
        max_iters=epochs * iterations,
    )
    hook.before_train(runner)
    steps = []
    for epoch in range(start, epochs):
        runner.epoch, runner.iter = epoch, epoch * iterations
        hook.before_train_epoch(runner)
        for index in range(iterations):
            runner.iter = epoch * iterations + index
            hook.before_train_iter(runner, index)
            if model.distilling:
                steps.append((epoch, runner.iter))
    return steps


def test_stops_at_the_epoch():
    steps = distilled_steps(StopDistillationHook(epoch=2), Distilling(), 4, 3)
    assert steps == [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (1, 5)]


def test_stops_at_the_iteration():
    steps = distilled_steps(StopDistillationHook(iteration=4), Distilling(), 4, 3)
    assert steps == [(0, 0), (0, 1), (0, 2), (1, 3)]


@pytest.mark.parametrize("options", [dict(epoch=2), dict(iteration=4)])
def test_a_resumed_run_stays_stopped(options):
    assert distilled_steps(StopDistillationHook(**options), Distilling(), 4, 3, start=2) == []


@pytest.mark.parametrize("options", [dict(epoch=0), dict(iteration=0)])
def test_a_distillation_that_never_begins_is_refused(options):
    with pytest.raises(ValueError, match="=0, so that nothing is distilled at all; set it to 1"):
        distilled_steps(StopDistillationHook(**options), Distilling(), 2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(), "epoch=None and iteration=None"),
        (dict(epoch=1, iteration=2), "epoch=1 and iteration=2"),
        (dict(epoch=-1), "epoch=-1"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        StopDistillationHook(**options)


@pytest.mark.parametrize("options", [dict(epoch=2), dict(iteration=6)])
def test_an_end_that_is_never_reached_is_refused(options):
    with pytest.raises(ValueError, match="never reaches; set it below"):
        distilled_steps(StopDistillationHook(**options), Distilling(), 2, 3)


def test_a_plain_detector_is_refused():
    with pytest.raises(ValueError, match=r"custom_hooks.*model\.type is Linear"):
        distilled_steps(StopDistillationHook(epoch=1), nn.Linear(1, 1), 1, 1)
