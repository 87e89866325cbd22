"""What one step of distillation costs beside plain training: time and memory."""

import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from torch import nn

from tbd.studies.stopwatch import Clock, stopwatch
from tbd.studies.trial_step import Amp, StepBatch, TrialStep, build_distillation, build_student

MIB = 2**20

RETURNING = dict(MALLOC_MMAP_THRESHOLD_="65536")
"""Environment in which the C library of Linux gives blocks of memory back when they are freed,
and keeps none for later."""


@dataclass(frozen=True)
class StepTimes:
    """Medians over the rounds, in seconds.

    Attributes:
        plain: Forward, backward and update of the student alone.
        teacher: The teacher up to where terms read it, as its config builds it, in
            float32 and without compilation, whatever the distillation does with it.
        distilled: Forward, backward and update of the student with every term.
        ratio: Median over the rounds of distilled / (plain + teacher).
        over_plain: Median over the rounds of distilled / plain.
        parts: By name, what else was measured: the preprocessing of the batch, the
            teacher as the distillation runs it, forward and backward of each term.
    """

    plain: float
    teacher: float
    distilled: float
    ratio: float
    over_plain: float
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StepMemory:
    """Peak memory beyond what the process holds before any model is built, in MiB.

    Attributes:
        plain: Of plain steps of the student.
        distilled: Of steps with every term.
        teacher_weights: Size of the teacher's parameters and buffers in float32.
        ratio: distilled / (plain + teacher_weights).
    """

    plain: float
    distilled: float
    teacher_weights: float
    ratio: float


def measure_times(
    model: ConfigDict,
    batch: StepBatch,
    rounds: int,
    progress: Callable[[str], None],
    *,
    detailed: bool = False,
    clock: Clock = "wall",
    amp: Amp | None = None,
) -> StepTimes:
    """Time plain, teacher and distilled steps in turn, in this process.

    Args:
        model: Config of a :class:`~tbd.TeacherStudentDetector`; weights are
            random, since they do not change what a step costs.
        batch: What to step on.
        rounds: How often each part is timed, after one round of warm-up.
        progress: Called with a line after every round.
        detailed: Time the parts of a step as well.
        clock: What is read, see :func:`~tbd.studies.stopwatch.stopwatch`.
        amp: Mixed precision of both steps; the teacher that is measured against
            stays in float32.
    """
    wrapper = build_distillation(model)
    eager = wrapper.eager_teacher()
    step = TrialStep(wrapper, batch, amp)
    inputs, samples = step.data["inputs"], step.data["data_samples"]
    seconds = stopwatch(clock, inputs.device)
    works: dict[str, Callable[[], object]] = {
        "plain": lambda: step.update(wrapper.student),
        "teacher": lambda: eager and eager.observe(inputs, samples, step.ground_truth),
        "distilled": step.update,
    }
    if detailed:

        def as_run() -> None:
            with step.autocast():
                wrapper.run_teacher(inputs, samples)

        works |= {"preprocessing": step.preprocess, "teacher as run": as_run}
        for name in wrapper.terms:
            forward, backward = step.forward_and_backward_of(name)
            works |= {f"{name} forward": forward, f"{name} backward": backward}
    rows: list[dict[str, float]] = []
    for number in range(rounds + 1):
        row = {name: seconds(work) for name, work in works.items()}
        if number == 0:
            progress("warm-up done")
            continue
        rows.append(row)
        shown = ", ".join(f"{name} {row[name]:.2f} s" for name in ("plain", "teacher", "distilled"))
        progress(f"round {number}/{rounds}: {shown}")
    medians = {name: statistics.median(row[name] for row in rows) for name in works}
    ratio = statistics.median(row["distilled"] / (row["plain"] + row["teacher"]) for row in rows)
    over_plain = statistics.median(row["distilled"] / row["plain"] for row in rows)
    return StepTimes(
        plain=medians.pop("plain"),
        teacher=medians.pop("teacher"),
        distilled=medians.pop("distilled"),
        ratio=ratio,
        over_plain=over_plain,
        parts=medians,
    )


def measure_memory(
    model: ConfigDict,
    batch: StepBatch,
    steps: int = 2,
    amp: Amp | None = None,
    in_use: bool = False,
) -> StepMemory:
    """Measure peaks, each in a fresh process, where nothing else has raised the peak before.

    On a CPU this reads /proc and so needs Linux.

    Args:
        model: Config of a :class:`~tbd.TeacherStudentDetector`.
        batch: What to step on.
        steps: How many steps to make.
        amp: Mixed precision.
        in_use: Of what is in use, as on a GPU it always is: without freed memory that the C
            library keeps for later.
    """
    with _environment(RETURNING) if in_use else nullcontext():
        plain, _ = _in_fresh_process(model, batch, steps, amp, False)
        distilled, weights = _in_fresh_process(model, batch, steps, amp, True)
    return StepMemory(plain, distilled, weights, distilled / (plain + weights))


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Context in which new processes have further variables in their environment."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _in_fresh_process(
    model: ConfigDict, batch: StepBatch, steps: int, amp: Amp | None, distilled: bool
) -> tuple[float, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (model.to_dict(), asdict(batch), steps, amp, distilled))


def _peak(
    model: dict[str, object], batch: dict[str, int], steps: int, amp: Amp | None, distilled: bool
) -> tuple[float, float]:
    MMLogger.get_current_instance().setLevel("WARNING")
    before = _peak_so_far()
    config, weights = ConfigDict(model), 0.0
    if distilled:
        wrapper = build_distillation(config)
        step = TrialStep(wrapper, StepBatch(**batch), amp)
        if config.get("teacher") is not None:
            weights = _size(wrapper.teacher)
    else:
        step = TrialStep(build_student(config), StepBatch(**batch), amp)
    for _ in range(steps):
        step.update()
    return _peak_so_far() - before, weights


def _size(module: nn.Module) -> float:
    # Which must not hold on to the tensors: the first step replaces the weights of a teacher.
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / MIB


def _peak_so_far() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / MIB
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024
