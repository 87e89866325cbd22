"""Settings of a run that its length leaves without effect."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.runner import IterBasedTrainLoop, Runner


def check_effects(runner: Runner) -> list[str]:
    """Look for what a training of this length will never do.

    Args:
        runner: A Runner whose training is about to begin.

    Returns:
        Warnings of schedules that end after the training: of a trial of a few epochs they are no
        mistake.

    Raises:
        ValueError: A hook or a validation would never act.
    """
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            _check_checkpoints(runner, hook)
        elif isinstance(hook, EarlyStoppingHook) and runner.val_loop is None:
            raise ValueError(
                f"custom_hooks: EarlyStoppingHook waits for {hook.monitor!r} of validations, and "
                "val_dataloader is None; set one, or remove the hook."
            )
    _check_validation(runner)
    by_epoch = not isinstance(runner.train_loop, IterBasedTrainLoop)
    settings = runner.cfg.get("param_scheduler") or []
    schedulers = settings if isinstance(settings, list | tuple) else [settings]
    found: list[str] = []
    for index, scheduler in enumerate(schedulers):
        if isinstance(scheduler, Mapping):
            key = f"param_scheduler[{index}]" if schedulers is settings else "param_scheduler"
            found += _late_changes(scheduler, key, runner, by_epoch)
    return found


def _check_checkpoints(runner: Runner, hook: CheckpointHook) -> None:
    end, unit = _end(runner, hook.by_epoch)
    begin, interval, last = (getattr(hook, key) for key in ("save_begin", "interval", "save_last"))
    key = "default_hooks.checkpoint"
    if begin > end:
        raise ValueError(
            f"{key}.save_begin={begin} is never reached by a training of {end} {unit}, so that no "
            f"checkpoint is written before its end; set it to {end} or less."
        )
    first = begin if begin else interval
    if interval > 0 and not last and first > end:
        raise ValueError(
            f"{key}.interval={interval} with save_last={last} writes no checkpoint at all in {end} "
            f"{unit}; set it to {end} or less, or save_last=True."
        )
    wanted = hook.save_best
    if wanted is not None and runner.val_loop is None:
        raise ValueError(
            f"{key}.save_best={wanted} needs validations, and val_dataloader is None; "
            "set one, or save_best=None."
        )


def _check_validation(runner: Runner) -> None:
    if runner.val_loop is None:
        return
    end, unit = _end(runner, not isinstance(runner.train_loop, IterBasedTrainLoop))
    begin = runner.train_loop.val_begin
    if begin > end:
        raise ValueError(
            f"train_cfg.val_begin={begin} is never reached by a training of {end} {unit}: nothing "
            f"would be validated; set it to {end} or less."
        )


def _late_changes(
    scheduler: Mapping[str, Any], key: str, runner: Runner, loop_by_epoch: bool
) -> Iterator[str]:
    by_epoch = scheduler.get("by_epoch", True)
    if by_epoch and not loop_by_epoch:
        yield (
            f"{key}.by_epoch={by_epoch}: the training is one of {runner.max_iters} iterations, in "
            "which no epoch ends before it does, so that this schedule changes nothing. Set "
            "by_epoch=False and give it in iterations."
        )
        return
    end, unit = _end(runner, by_epoch)
    milestones = scheduler.get("milestones")
    if milestones is not None and not any(point < end for point in milestones):
        yield (
            f"{key}.milestones={list(milestones)} are never reached by a training of {end} {unit}: "
            "the rate stays as it is. Set them below its end."
        )
    for name in ("step_size", "begin"):
        if scheduler.get(name, 0) >= max(end, 1):
            yield (
                f"{key}.{name}={scheduler[name]} is never reached by a training of {end} {unit}: "
                "this schedule changes nothing. Set it below its end."
            )
    last = scheduler.get("end")
    if last is not None and last > end:
        yield (
            f"{key}.end={last}: the training ends before this schedule does, after {end} {unit}. "
            "Set the one as long as the other."
        )


def _end(runner: Runner, by_epoch: bool) -> tuple[int, str]:
    """Length of the training in epochs or iterations."""
    return (runner.max_epochs, "epochs") if by_epoch else (runner.max_iters, "iterations")
