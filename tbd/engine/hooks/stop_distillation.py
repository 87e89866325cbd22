"""End of distillation before the end of training."""

from mmengine.runner import Runner

from tbd.engine.hooks.milestone import MilestoneHook
from tbd.engine.wrappers import unwrap
from tbd.registry import HOOKS


@HOOKS.register_module()
class StopDistillationHook(MilestoneHook):
    """Stop distilling, and with it the teacher's cost, from an epoch or iteration on.

    Args:
        epoch: Number of epochs that are distilled; epochs are counted from 0, so
            epoch number ``epoch`` is the first one without distillation.
        iteration: The same in iterations. Exactly one of the two must be given.

    Raises:
        ValueError: Not exactly one of ``epoch`` and ``iteration`` is given, or it is negative.
    """

    def before_train(self, runner: Runner) -> None:
        """Refuse a model that does not distill, and an end that the training does not reach.

        Raises:
            ValueError: The hook has no effect.
        """
        model = unwrap(runner.model)
        if not hasattr(model, "stop_distillation"):
            raise ValueError(
                f"custom_hooks: tbd.StopDistillationHook is set, but model.type is "
                f"{type(model).__name__}, which does not distill; remove the hook, or use "
                "model.type='tbd.TeacherStudentDetector'"
            )

        for unit, value, end in (
            ("epoch", self.epoch, runner.max_epochs),
            ("iteration", self.iteration, runner.max_iters),
        ):
            if value == 0:
                raise ValueError(
                    f"custom_hooks: tbd.StopDistillationHook is set with {unit}=0, so that nothing "
                    f"is distilled at all; set it to 1 or more, or train the student alone."
                )
            if value is not None and value >= end:
                raise ValueError(
                    f"custom_hooks: tbd.StopDistillationHook is set with {unit}={value}, which a "
                    f"training of {end}, counted from 0, never reaches; set it below {end}, or "
                    "remove the hook."
                )

    def apply(self, runner: Runner, reached: bool) -> None:
        """Stop for good."""
        model = unwrap(runner.model)
        if reached and model.distilling:
            model.stop_distillation()
            runner.logger.info(
                f"distillation stops at epoch {runner.epoch}, iteration {runner.iter}; "
                "the student trains on alone"
            )
