"""How far a training is, in a file that another process reads."""

import json
import os
import time
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor


class ProgressFileHook(Hook):
    """Keep the progress of a training in a JSON file.

    The file holds ``phase`` (``training`` or ``validating``), ``step``, ``steps``, ``loss`` (mean
    since the file was last written, None where nothing is logged under that name) and
    ``seconds_left``, None before the first step. It is rewritten in place, so that a reader may
    find half of it and tries again.

    Args:
        path: The file.
        interval: Shortest time between two writings, in seconds.
    """

    priority = "VERY_LOW"

    def __init__(self, path: str | os.PathLike[str], interval: float = 1.0) -> None:
        self._path = Path(path)
        self._interval = interval
        self._losses: list[Tensor] = []
        self._begin = self._written = time.monotonic()
        self._first_step = 0

    def before_train(self, runner: Runner) -> None:
        """Say that the training begins, or goes on after some steps."""
        self._begin, self._first_step = time.monotonic(), runner.iter
        self._write(runner, "training", runner.iter)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any | None = None,
        outputs: Any | None = None,
    ) -> None:
        """Count the step; most of them leave the file alone."""
        if isinstance(outputs, dict) and isinstance(outputs.get("loss"), Tensor):
            self._losses.append(outputs["loss"].detach())
        if time.monotonic() - self._written >= self._interval:
            self._write(runner, "training", runner.iter + 1)

    def before_val(self, runner: Runner) -> None:
        """Say that a validation begins."""
        self._write(runner, "validating", runner.iter)

    def after_val(self, runner: Runner) -> None:
        """Say that the training goes on."""
        self._write(runner, "training", runner.iter)

    def _write(self, runner: Runner, phase: str, step: int) -> None:
        self._written = time.monotonic()
        losses, self._losses = self._losses, []
        if not is_main_process():
            return
        done = step - self._first_step
        pace = (self._written - self._begin) / done if done else None
        content = {
            "phase": phase,
            "step": step,
            "steps": runner.max_iters,
            "loss": float(sum(losses)) / len(losses) if losses else None,
            "seconds_left": None if pace is None else pace * (runner.max_iters - step),
        }
        self._path.write_text(json.dumps(content))
