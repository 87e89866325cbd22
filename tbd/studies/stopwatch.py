"""Timing of a piece of work on a CPU or a GPU."""

import time
from collections.abc import Callable
from typing import Literal

import torch

from tbd.checks import check_choice

Clock = Literal["wall", "cpu"]
"""``"wall"``: seconds that pass; ``"cpu"``: seconds that all threads of this process compute."""


def stopwatch(clock: Clock, device: torch.device) -> Callable[[Callable[[], object]], float]:
    """Return what runs a piece of work and says how many seconds it took.

    On CUDA, events on the current stream time the device itself. On a CPU that
    others use too, the time of the process is far steadier than the wall's; with
    one thread both mean the same.

    Raises:
        ValueError: if there is no such clock on the device.
    """
    check_choice(Clock, clock=clock)
    if device.type == "cuda":
        if clock == "cpu":
            raise ValueError("clock='cpu' does not see what a GPU does; use 'wall'.")
        return _by_events
    read = time.perf_counter if clock == "wall" else time.process_time

    def by_clock(work: Callable[[], object]) -> float:
        start = read()
        work()
        return read() - start

    return by_clock


def _by_events(work: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000
