"""Hooks that change something at a milestone of the training."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


class MilestoneHook(Hook):
    """Base of hooks that act from an epoch or iteration on.

    Whether the milestone is reached is read from the runner's counters alone, so
    it survives resuming.

    Args:
        epoch: Number of epochs before the milestone; epochs are counted from 0,
            so epoch number ``epoch`` is the first one after it.
        iteration: The same in iterations. Exactly one of the two must be given.

    Raises:
        ValueError: Not exactly one of ``epoch`` and ``iteration`` is given, or it is negative.
    """

    def __init__(self, epoch: int | None = None, iteration: int | None = None) -> None:
        name = f"tbd.{type(self).__name__}"
        if (epoch is None) == (iteration is None):
            raise ValueError(
                f"{name}: epoch={epoch} and iteration={iteration}; give exactly one of them"
            )
        for unit, value in (("epoch", epoch), ("iteration", iteration)):
            if value is not None and value < 0:
                raise ValueError(f"{name}: {unit}={value} must not be negative")
        self.epoch = epoch
        self.iteration = iteration

    def before_train_epoch(self, runner: Runner) -> None:
        """Look at the epochs."""
        if self.epoch is not None:
            self.apply(runner, runner.epoch >= self.epoch)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | Sequence[Any] | None = None
    ) -> None:
        """Look at the iterations."""
        if self.iteration is not None:
            self.apply(runner, runner.iter >= self.iteration)

    @abstractmethod
    def apply(self, runner: Runner, reached: bool) -> None:
        """Bring the model into the state before, or if ``reached`` after, the milestone."""
