"""Progress of several runs: one line that changes on a terminal, a line now and then elsewhere."""

import json
import math
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

_CLEAR = "\r\x1b[K"
_BETWEEN = " | "


@dataclass(frozen=True)
class Stage:
    """Where a run is.

    Attributes:
        label: Which run it is.
        doing: What it is doing.
    """

    label: str
    doing: str


class Progress:
    """Shows what runs are doing.

    Args:
        stream: Where to. Default: standard output.
        interval: Seconds between two lines where the stream is no terminal.
        quiet: Show no stages, only what :meth:`say` is given, because something else writes to
            the same place.
    """

    def __init__(
        self, stream: TextIO | None = None, interval: float = 30.0, quiet: bool = False
    ) -> None:
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._interval = interval
        self._quiet = quiet
        self._shown = time.monotonic()
        self._line = ""

    @property
    def width(self) -> int | None:
        """Characters in a line; None where the stream is no terminal, which bounds nothing."""
        return shutil.get_terminal_size().columns if self._terminal else None

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._clear()
        print(text, file=self._stream, flush=True)

    def show(self, stages: Sequence[Stage]) -> None:
        """Show where the runs are; call it as often as there may be news."""
        if self._quiet or not stages:
            return
        lines = [f"{stage.label}: {stage.doing}" for stage in stages]
        if self.width is not None:
            # One column is left free: a full line would break.
            line = _BETWEEN.join(lines)[: self.width - 1]
            if line != self._line:
                self._stream.write(_CLEAR + line)
                self._stream.flush()
                self._line = line
        elif time.monotonic() - self._shown >= self._interval:
            self._shown = time.monotonic()
            print("\n".join(lines), file=self._stream, flush=True)

    def close(self) -> None:
        """Take away the line that changes."""
        self._clear()

    def _clear(self) -> None:
        if self._line:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._line = ""


def read_progress(path: Path) -> str | None:
    """Describe what a progress file says.

    Args:
        path: File of a :class:`~tbd.engine.hooks.ProgressFileHook`.

    Returns:
        Such as ``step 120 of 640, loss 1.23, 2 min 05 s left``; None if the file is not there, or
        only half of it.
    """
    try:
        content = json.loads(path.read_text())
        step, steps, loss = content["step"], content["steps"], content["loss"]
        left, phase = content["seconds_left"], content["phase"]
    except (OSError, ValueError, KeyError):
        return None
    parts = [f"step {step} of {steps}"]
    if phase != "training":
        parts.append(phase)
    elif loss is not None:
        parts.append(f"loss {loss:.3g}")
    if left is not None:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Write a time as ``45 s``, ``2 min 05 s`` or ``3 h 20 min``."""
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
