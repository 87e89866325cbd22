"""The first phase of factor transfer, in which its paraphraser learns."""

from typing import Any

import torch
from mmengine.runner import Runner
from torch.utils.hooks import RemovableHandle

from tbd.detectors import TeacherStudentDetector
from tbd.distill import FactorTransfer
from tbd.engine.hooks.milestone import MilestoneHook
from tbd.engine.wrappers import unwrap
from tbd.registry import HOOKS

WINDOW = 10
"""Iterations over which a reported error is averaged."""


@HOOKS.register_module()
class ParaphraserPhaseHook(MilestoneHook):
    """Let the paraphraser of each ``tbd.FactorTransfer`` learn first, then freeze it.

    Until the milestone those terms' only loss is the reconstruction of the
    teacher's features, and the student learns from its labels and the other
    terms; from then on factors are transferred. When the phase ends the
    reconstruction error of each pyramid level is reported. Where the whole
    training is the phase, it trains a paraphraser for the ``paraphraser_ckpt``
    of other runs.

    Args:
        epoch: Number of epochs in which the paraphraser learns; epochs are
            counted from 0, so epoch number ``epoch`` is the first one of transfer.
        iteration: The same in iterations. Exactly one of the two must be given.

    Raises:
        ValueError: Not exactly one of ``epoch`` and ``iteration`` is given, or it is negative.
    """

    def __init__(self, epoch: int | None = None, iteration: int | None = None) -> None:
        super().__init__(epoch, iteration)
        self._terms: dict[str, FactorTransfer] = {}
        self._transferring: bool | None = None
        self._handle: RemovableHandle | None = None

    def before_train(self, runner: Runner) -> None:
        """Find the terms, and keep the optimizer off what does not learn.

        Raises:
            ValueError: There is no paraphraser to train, or the training ends before the phase.
        """
        model = unwrap(runner.model)
        terms = model.terms if isinstance(model, TeacherStudentDetector) else {}
        transfers = {n: term for n, term in terms.items() if isinstance(term, FactorTransfer)}
        self._terms = {name: term for name, term in transfers.items() if not term.fixed}
        if not self._terms:
            reason = (
                f"the paraphraser of model.distill.{next(iter(transfers))} does not learn "
                "(paraphraser_ckpt or allow_random_paraphraser is set); remove one of the two"
                if transfers
                else f"no term of {type(model).__name__} has a paraphraser; remove the hook, or "
                "set model.distill.ft=dict(type='tbd.FactorTransfer')"
            )
            raise ValueError(f"custom_hooks: tbd.ParaphraserPhaseHook is set, but {reason}.")
        for name, end, last in (
            ("epoch", self.epoch, runner.max_epochs),
            ("iteration", self.iteration, runner.max_iters),
        ):
            if end is not None and end > last:
                raise ValueError(
                    f"tbd.ParaphraserPhaseHook: {name}={end}, but the training has {last} of them, "
                    "so that the paraphraser would not be trained to the end; make the training "
                    "longer or the phase shorter."
                )
        self._transferring = None
        self._handle = runner.optim_wrapper.optimizer.register_step_pre_hook(self._leave_idle)

    def apply(self, runner: Runner, reached: bool) -> None:
        """Set the phase."""
        if reached == self._transferring:
            return
        self._transferring = reached
        for term in self._terms.values():
            term.set_phase(paraphrasing=not reached)
        if reached:
            self._report(runner)

    def after_train(self, runner: Runner) -> None:
        """Report the errors of a training that was nothing but the phase."""
        if self._handle is not None:
            self._handle.remove()
        if self._transferring is False:
            self._report(runner)

    def _leave_idle(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        # In distributed training their gradient is 0, not None, and an optimizer would still move
        # them by weight decay and momentum.
        for term in self._terms.values():
            for parameter in term.idle_parameters():
                parameter.grad = None

    def _report(self, runner: Runner) -> None:
        scalars = runner.message_hub.log_scalars
        for name, term in self._terms.items():
            keys = [f"train/{name}.error_{level}" for level in range(len(term.paraphrasers))]
            if not all(key in scalars for key in keys):
                continue
            errors = ", ".join(f"{scalars[key].mean(WINDOW):.3f}" for key in keys)
            runner.logger.info(
                f"distill.{name}: the paraphraser has learnt for {int(term.paraphraser_steps)} "
                f"steps and is frozen (epoch {runner.epoch}, iteration {runner.iter}). Its "
                f"reconstruction error per pyramid level, mean of the last {WINDOW} steps: "
                f"{errors} (0 is perfect, 1 is what zeros would have)"
            )
