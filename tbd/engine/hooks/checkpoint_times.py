"""When checkpoints are written."""

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner


def is_saved_by_iteration(runner: Runner) -> bool:
    """Whether a checkpoint is written after the present iteration, in an epoch or at its end.

    Unlike a hook that sees checkpoints being written, every process can tell.
    """
    return any(
        isinstance(hook, CheckpointHook)
        and not hook.by_epoch
        and hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
        for hook in runner.hooks
    )
