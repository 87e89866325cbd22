"""How the pull on the student is shared between its own loss and the terms, over a training."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tbd.detectors import TeacherStudentDetector
from tbd.engine.wrappers import unwrap
from tbd.files import write_file
from tbd.registry import HOOKS


@HOOKS.register_module()
class GradientShareHook(Hook):
    """Measure at some moments the norm of each loss's gradient on the student's neck.

    The share of a loss is its norm divided by the sum of all: norms, unlike gradients, add up
    whether the losses agree or not. Nothing of the training changes.

    Args:
        path: JSON file of the norms, by iteration. None: only the log.
        moments: Parts of the training after which is measured, in [0, 1].
    """

    def __init__(self, path: str | None = None, moments: Sequence[float] = (0.0, 0.5, 1.0)) -> None:
        if not moments or not all(0 <= moment <= 1 for moment in moments):
            raise ValueError(f"moments={list(moments)} must lie between 0 and 1.")
        self.path = path
        self.moments = tuple(moments)
        self._norms: dict[int, dict[str, float]] = {}

    def before_train(self, runner: Runner) -> None:
        """Take up what was measured before an interruption."""
        if self.path is not None and runner.iter > 0 and Path(self.path).is_file():
            stored = json.loads(Path(self.path).read_text())
            self._norms = {int(key): norms for key, norms in stored.items()}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Ask for a measurement if it is time."""
        model = unwrap(runner.model)
        if isinstance(model, TeacherStudentDetector) and runner.iter in self._due(runner):
            model.balance.gradient_norms = {}
            model.balance.request_gradients()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Log what was measured."""
        model = unwrap(runner.model)
        if not isinstance(model, TeacherStudentDetector) or runner.iter not in self._due(runner):
            return
        norms = model.balance.gradient_norms
        if not norms:
            return
        self._norms[runner.iter] = dict(norms)
        shares = ", ".join(f"{name} {share:.0%}" for name, share in gradient_shares(norms).items())
        runner.logger.info(f"Share of the gradient's norm on the student's neck: {shares}")
        self._write()

    def _due(self, runner: Runner) -> set[int]:
        return {round(moment * (runner.max_iters - 1)) for moment in self.moments}

    @master_only
    def _write(self) -> None:
        if self.path is not None:
            write_file(self.path, json.dumps(self._norms, indent=2) + "\n")


def gradient_shares(norms: dict[str, float]) -> dict[str, float]:
    """Divide norms by their sum; all 0 where nothing pulls."""
    total = sum(norms.values())
    return {name: norm / total if total > 0 else 0.0 for name, norm in norms.items()}
