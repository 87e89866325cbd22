"""What MMEngine's checkpoints lack for a resumed run to repeat an uninterrupted one."""

from collections.abc import Iterator
from typing import Any

from mmengine.dist import all_reduce, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from tbd.engine.hooks.checkpoint_times import is_saved_by_iteration
from tbd.engine.hooks.epoch_seed import seed_process
from tbd.engine.wrappers import unwrap
from tbd.registry import HOOKS

_GRADIENTS = "accumulated_gradients"
_LENGTH = "epoch_length"


@HOOKS.register_module()
class ResumeStateHook(Hook):
    """Make runs exact that are resumed between two optimizer steps or inside an epoch.

    Where gradients are accumulated over iterations, a checkpoint may fall between two steps of the
    optimizer; it holds the gradients gathered so far, and those of several processes are averaged
    before, which changes nothing in the step to come. A checkpoint inside an epoch is resumed by
    passing over the batches that were learnt from; random generators are seeded anew, from the
    run's seed and the iteration, after each checkpoint that ``CheckpointHook`` writes by iteration.
    The same makes iteration-based loops exact, in which MMEngine passes over the batches itself;
    there a validation, which a resumed run does not repeat, is followed by a new seed too.
    """

    # Before CheckpointHook.
    priority = "LOW"

    def __init__(self) -> None:
        self._passed = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Prepare for a checkpoint, where one is due."""
        if is_saved_by_iteration(runner):
            _average_gradients(runner)
            _seed(runner, runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Prepare for a checkpoint."""
        _average_gradients(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add what MMEngine leaves out."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            checkpoint["meta"][_LENGTH] = len(runner.train_dataloader)
        if checkpoint["meta"]["iter"] % _counts(runner):
            checkpoint[_GRADIENTS] = {
                name: parameter.grad.cpu()
                for name, parameter in unwrap(runner.model).named_parameters()
                if parameter.grad is not None
            }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take it up again, if the run is resumed.

        Raises:
            ValueError: The checkpoint lacks what it needs, or the epochs have another length.
        """
        if not runner._resume:
            return
        meta = checkpoint["meta"]
        self._passed = self._batches_to_pass(runner, meta)
        counts = _counts(runner)
        gradients = checkpoint.get(_GRADIENTS)
        if meta["iter"] % counts and gradients is None:
            raise ValueError(
                f"cannot resume exactly: the checkpoint of iteration {meta['iter']} lies within "
                f"an accumulation of {counts} gradients (optim_wrapper.accumulative_counts) and "
                f"does not hold them. Resume from one whose iteration is a multiple of {counts}, "
                "or give it as load_from without resume."
            )
        for name, parameter in unwrap(runner.model).named_parameters():
            if gradients is not None and name in gradients:
                parameter.grad = gradients[name].to(parameter)

    def before_train_epoch(self, runner: Runner) -> None:
        """Let the loop pass over batches that were learnt from before the run was resumed."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop) and runner.iter:
            if getattr(loop, "fast_forward_on_resume", False):
                runner.logger.warning(
                    "train_cfg.fast_forward_on_resume=True: the run goes on with other batches and "
                    "random numbers than an uninterrupted one; set it to False to resume exactly"
                )
            else:
                loop.dataloader_iterator = _SeededAfter(runner, loop.dataloader_iterator)
        passed, self._passed = self._passed, 0
        if not passed:
            return
        runner.logger.info("resumed in the middle of an epoch: passing over %d batches", passed)

        def pass_over(index: int, data_batch: Any) -> None:
            if index + 1 == passed:
                _seed(runner, runner.iter)
                del loop.run_iter

        loop.run_iter = pass_over

    def after_val(self, runner: Runner) -> None:
        """Let an iteration-based loop go on as it would from a checkpoint of this iteration."""
        if isinstance(runner._train_loop, IterBasedTrainLoop):
            _seed(runner, runner.iter)

    @staticmethod
    def _batches_to_pass(runner: Runner, meta: dict[str, Any]) -> int:
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return 0
        length = len(runner.train_dataloader)
        saved_length = meta.get(_LENGTH, length)
        passed = int(meta["iter"] - meta["epoch"] * saved_length)
        if passed and saved_length != length:
            raise ValueError(
                f"cannot resume exactly: the checkpoint was written {passed} iterations into an "
                f"epoch of {saved_length}, and an epoch of this run has {length}. Resume with the "
                "same batch size, number of processes and data, or from a checkpoint of the end "
                "of an epoch."
            )
        return passed if 0 < passed <= length else 0


class _SeededAfter:
    """Batches of an iteration-based loop, with new seeds once it has passed over some of them.

    Args:
        runner: The Runner, which is at the iteration that it resumes at.
        batches: The loop's iterator, which takes its place again then.
    """

    def __init__(self, runner: Runner, batches: Iterator[Any]) -> None:
        self._runner, self._batches, self._left = runner, batches, runner.iter

    def __iter__(self) -> Iterator[Any]:
        return self

    def skip_iter(self, count: int) -> None:
        """Pass over batches and load them, so that workers draw the random numbers of each."""
        for _ in range(count):
            next(self)

    def __next__(self) -> Any:
        if not self._left:
            self._runner.train_loop.dataloader_iterator = self._batches
            _seed(self._runner, self._runner.iter)
        self._left -= 1
        return next(self._batches)


def _counts(runner: Runner) -> int:
    """Iterations per step of the optimizer."""
    return getattr(runner.optim_wrapper, "_accumulative_counts", 1)


def _average_gradients(runner: Runner) -> None:
    wrapper = runner.optim_wrapper
    if not is_distributed() or _counts(runner) == 1 or wrapper.should_update():
        return
    for parameter in unwrap(runner.model).parameters():
        if parameter.grad is not None:
            all_reduce(parameter.grad, op="mean")


def _seed(runner: Runner, iteration: int) -> None:
    seed_process(runner.seed, runner.epoch, iteration)
