"""What a training step by each of several methods costs beside a plain one, on one pair."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine.config import load_config
from tbd.studies.comparison.pair import Pair
from tbd.studies.step_cost import measure_memory, measure_times
from tbd.studies.stopwatch import Clock
from tbd.studies.trial_step import Amp, StepBatch


@dataclass(frozen=True)
class MethodCost:
    """Times are medians over the rounds.

    Attributes:
        terms: The methods, joined by ``+``.
        over_plain: Seconds of a distilled step, divided by those of a plain one.
        over_teacher: Seconds of a distilled step, divided by those of a plain one and of the
            eager float32 teacher.
        memory: Peak memory of distilled steps, divided by that of plain ones; None where it
            was not measured.
    """

    terms: str
    over_plain: float
    over_teacher: float
    memory: float | None


def measure_methods(
    config: str,
    terms: Sequence[str],
    batch: StepBatch,
    rounds: int,
    progress: Callable[[str], None],
    *,
    options: Mapping[str, Any] | None = None,
    clock: Clock = "wall",
    amp: Amp | None = None,
    memory: bool = True,
) -> Iterator[MethodCost]:
    """Measure one method after the other, each in turns with plain steps.

    Args:
        config: Config of a distillation by whatever terms.
        terms: Methods as :func:`~tbd.compare_terms` takes them; ``all`` stands for everything
            that the pair can carry.
        batch: What to step on.
        rounds: How often each step is timed.
        progress: Called with a line for every method that is left out, and after every round.
        options: Settings of all methods, as of ``--cfg-options``.
        clock: What is read, see :func:`~tbd.studies.stopwatch.stopwatch`.
        amp: Mixed precision of the steps.
        memory: Measure the peaks as well.

    Yields:
        The cost of each method, when it is known.

    Raises:
        ImportError: A term needs a package that is not installed.
        ValueError: A method is unknown or named twice, or the pair cannot carry it.
    """
    with tempfile.TemporaryDirectory() as folder:
        candidates, left_out = Pair(config).candidates(terms, Path(folder))
        for name, reason in left_out.items():
            progress(f"{name} is left out: {reason}")
        for candidate in candidates:
            model = load_config(candidate.config, options).model
            if model.type not in WRAPPER_TYPES:
                continue
            progress(f"{candidate.terms}:")
            times = measure_times(model, batch, rounds, progress, clock=clock, amp=amp)
            peaks = measure_memory(model, batch, amp=amp) if memory else None
            yield MethodCost(
                candidate.terms,
                times.over_plain,
                times.ratio,
                peaks.distilled / peaks.plain if peaks else None,
            )
