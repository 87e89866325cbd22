"""Change of the classification loss during training."""

from mmengine.runner import Runner

from tbd.engine.hooks.milestone import MilestoneHook
from tbd.engine.wrappers import unwrap
from tbd.losses import TwoPhaseLoss
from tbd.registry import HOOKS


@HOOKS.register_module()
class LossPhaseHook(MilestoneHook):
    """Tell every ``tbd.TwoPhaseLoss`` of the model when its second phase begins.

    Args:
        epoch: Number of epochs of the first phase; epochs are counted from 0, so epoch number
            ``epoch`` is the first one of the second phase.
        iteration: The same in iterations. Exactly one of the two must be given.

    Raises:
        ValueError: Not exactly one of ``epoch`` and ``iteration`` is given, or it is negative.
    """

    def __init__(self, epoch: int | None = None, iteration: int | None = None) -> None:
        super().__init__(epoch, iteration)
        self._losses: list[TwoPhaseLoss] = []

    def before_train(self, runner: Runner) -> None:
        """Find the losses.

        Raises:
            ValueError: The model has none, or the training ends before the second phase.
        """
        model = unwrap(runner.model)
        self._losses = [part for part in model.modules() if isinstance(part, TwoPhaseLoss)]
        if not self._losses:
            raise ValueError(
                f"custom_hooks: tbd.LossPhaseHook is set, but no loss of {type(model).__name__} "
                "has phases; remove the hook, or set loss_cls=dict(type='tbd.TwoPhaseLoss', "
                "first=..., second=...)"
            )
        for name, begin, end in (
            ("epoch", self.epoch, runner.max_epochs),
            ("iteration", self.iteration, runner.max_iters),
        ):
            if begin is not None and begin >= end:
                raise ValueError(
                    f"tbd.LossPhaseHook: {name}={begin}, but the training has {end} of them, so "
                    "the second phase would never come"
                )

    def apply(self, runner: Runner, reached: bool) -> None:
        """Set the phase."""
        if all(loss.second_phase == reached for loss in self._losses):
            return
        for loss in self._losses:
            loss.second_phase = reached
        current = self._losses[0].current
        runner.logger.info(
            f"classification loss from epoch {runner.epoch}, iteration {runner.iter} on: "
            f"{type(current).__name__} ({'second' if reached else 'first'} phase)"
        )
