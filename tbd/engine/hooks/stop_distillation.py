"""End of distillation before the end of training."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from tbd.engine.wrappers import unwrap
from tbd.registry import HOOKS


@HOOKS.register_module()
class StopDistillationHook(Hook):
    """Stop distilling, and with it the teacher's cost, from an epoch or iteration on.

    The decision depends on the counter alone, so it survives resuming.

    Args:
        epoch: Number of epochs that are distilled; epochs are counted from 0, so
            epoch number ``epoch`` is the first one without distillation.
        iteration: The same in iterations. Exactly one of the two must be given.

    Raises:
        ValueError: Not exactly one of ``epoch`` and ``iteration`` is given, or it is negative.
    """

    def __init__(self, epoch: int | None = None, iteration: int | None = None) -> None:
        if (epoch is None) == (iteration is None):
            raise ValueError(
                f"tbd.StopDistillationHook: epoch={epoch} and iteration={iteration}; "
                "give exactly one of them"
            )
        for name, value in (("epoch", epoch), ("iteration", iteration)):
            if value is not None and value < 0:
                raise ValueError(f"tbd.StopDistillationHook: {name}={value} must not be negative")
        self.epoch = epoch
        self.iteration = iteration

    def before_train(self, runner: Runner) -> None:
        """Refuse a model that does not distill."""
        model = unwrap(runner.model)
        if not hasattr(model, "stop_distillation"):
            raise ValueError(
                f"custom_hooks: tbd.StopDistillationHook is set, but model.type is "
                f"{type(model).__name__}, which does not distill; remove the hook, or use "
                "model.type='tbd.TeacherStudentDetector'"
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Stop at the epoch."""
        if self.epoch is not None and runner.epoch >= self.epoch:
            self._stop(runner)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | Sequence[Any] | None = None
    ) -> None:
        """Stop at the iteration."""
        if self.iteration is not None and runner.iter >= self.iteration:
            self._stop(runner)

    def _stop(self, runner: Runner) -> None:
        model = unwrap(runner.model)
        if model.distilling:
            model.stop_distillation()
            runner.logger.info(
                f"distillation stops at epoch {runner.epoch}, iteration {runner.iter}; "
                "the student trains on alone"
            )
