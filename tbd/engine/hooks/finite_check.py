"""End of a training whose losses or weights are no numbers any more."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from tbd.detectors.finite_weights import check_finite_weights, first_non_finite
from tbd.engine.hooks.checkpoint_times import is_saved_by_iteration
from tbd.engine.wrappers import unwrap
from tbd.registry import HOOKS

_PATIENCE = 20


@HOOKS.register_module()
class FiniteCheckHook(Hook):
    """Stop before a model that became NaN takes the place of a good checkpoint.

    Each step leaves its losses' flags on the device; they are read, and the weights looked at,
    every ``interval`` iterations, at the end of an epoch and before every checkpoint. Checkpoints
    that are loaded are looked at too.

    Where a gradient scaler of mixed precision leaves out steps whose gradients are not finite,
    losses that are not are let pass while the weights are good, unless 20 steps in a row have
    them.

    Args:
        interval: Iterations between two looks inside an epoch.
    """

    # Before CheckpointHook, which removes an old checkpoint before it writes the new one.
    priority = "LOW"

    def __init__(self, interval: int = 50) -> None:
        if interval < 1:
            raise ValueError(f"FiniteCheckHook: interval={interval} must be at least 1.")
        self.interval = interval
        self._flags: dict[tuple[str, ...], _Flags] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that are no numbers.

        Raises:
            ValueError: They are not.
        """
        source = f"load_from={runner._load_from!r}" if runner._load_from else "the last checkpoint"
        check_finite_weights(checkpoint, source, "Take an earlier checkpoint.")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Note the losses, and look at them where it is time.

        Raises:
            FloatingPointError: A loss or a weight is not finite.
        """
        if isinstance(outputs, Mapping):
            losses = {
                name: value.detach()
                for name, value in outputs.items()
                if "loss" in name and isinstance(value, Tensor) and value.is_floating_point()
            }
            # Terms come and go, and with them the names.
            if losses:
                flags = self._flags.setdefault(tuple(losses), _Flags(len(losses)))
                flags.note(list(losses.values()), runner.iter + 1)
        due = self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        if due or is_saved_by_iteration(runner):
            self._check(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Look at the losses of the epoch.

        Raises:
            FloatingPointError: A loss or a weight is not finite.
        """
        self._check(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Look at what is to be saved, whoever saves it.

        Raises:
            FloatingPointError: A weight is not finite.
        """
        found = first_non_finite(checkpoint["state_dict"])
        if found is not None:
            raise FloatingPointError(_message(f"the weight {found} is no number", runner))

    def _check(self, runner: Runner) -> None:
        what = self._find(runner)
        if is_distributed():
            # So that no process goes on to write what another one has found out about.
            device = next(unwrap(runner.model).parameters()).device
            failed = torch.tensor(float(what is not None), device=device)
            all_reduce(failed, op="max")
            if what is None and bool(failed):
                what = "another process has found a loss or weight that is no number"
        if what is not None:
            raise FloatingPointError(_message(what, runner))

    def _find(self, runner: Runner) -> str | None:
        """Say what is not finite, or None."""
        tensors = _tensors(unwrap(runner.model))
        weight = first_non_finite(tensors)
        patience = _PATIENCE if _has_scaler(runner) and weight is None else 1
        found = [
            (first if patience == 1 else runner.iter + 2 - in_a_row, name, value)
            for names, flags in self._flags.items()
            for name, (first, in_a_row, value) in zip(names, flags.read(), strict=True)
            if first and (patience == 1 or in_a_row >= patience)
        ]
        if found:
            # Of those of one iteration a single loss says more than their sum.
            first, name, value = min(found, key=lambda entry: (entry[0], entry[1] == "loss"))
            return f"{name} is {value} in iteration {first} (epoch {runner.epoch + 1})"
        if weight is None:
            return None
        return f"the weight {weight} is no number after iteration {runner.iter + 1}"


class _Flags:
    """Since when and in how many steps up to now each of some losses was not finite."""

    def __init__(self, count: int) -> None:
        self._state: Tensor | None = None
        self._count = count

    def note(self, losses: list[Tensor], iteration: int) -> None:
        """Add a step, without waiting for the device."""
        values = torch.stack([loss.to(losses[0].device, torch.float32).mean() for loss in losses])
        if self._state is None:
            self._state = values.new_zeros(3, self._count)
        first, in_a_row, kept = self._state
        bad = ~values.isfinite()
        fresh = bad & (first == 0)
        self._state = torch.stack(
            [
                torch.where(fresh, float(iteration), first),
                torch.where(bad, in_a_row + 1, torch.zeros_like(in_a_row)),
                torch.where(fresh, values, kept),
            ]
        )

    def read(self) -> list[tuple[int, int, float]]:
        """First iteration (0: none), steps in a row up to now, and value, of each loss."""
        assert self._state is not None
        return [(int(first), int(run), value) for first, run, value in self._state.T.tolist()]


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _has_scaler(runner: Runner) -> bool:
    return getattr(runner.optim_wrapper, "loss_scaler", None) is not None


def _message(what: str, runner: Runner) -> str:
    return (
        f"The training stops: {what}. Checkpoints in {runner.work_dir} are from before. Lower the "
        "learning rate (optim_wrapper.optimizer.lr) or the term's loss_weight, or clip gradients "
        "(optim_wrapper.clip_grad=dict(max_norm=35)), and go on with --resume, or start anew."
    )
