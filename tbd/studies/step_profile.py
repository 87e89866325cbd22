"""Where the time of a distilled step goes: module by module and operator by operator."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from torch import nn
from torch.autograd.profiler_util import EventList
from torch.profiler import ProfilerActivity, profile, record_function

from tbd.detectors import TeacherStudentDetector
from tbd.studies.trial_step import Amp, StepBatch, TrialStep, build_distillation

_PARTS = ("backbone", "neck", "rpn_head", "bbox_head", "roi_head", "encoder", "decoder")
_OPERATORS = 15


def profile_step(
    model: ConfigDict, batch: StepBatch, amp: Amp | None = None, trace: Path | None = None
) -> str:
    """Profile one distilled step, the second after a first that warms up.

    Args:
        model: Config of a :class:`~tbd.TeacherStudentDetector`.
        batch: What to step on.
        amp: Mixed precision.
        trace: Also write the whole profile to this file, for chrome://tracing or Perfetto.

    Returns:
        Two tables: the forward of each part of the detectors and of each term, and the
        operators that took longest in forward and backward together.
    """
    wrapper = build_distillation(model)
    step = TrialStep(wrapper, batch, amp)
    step.update()
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with (
        _labelled(wrapper, model.get("teacher") is not None) as labels,
        profile(activities=activities) as recorded,
    ):
        step.update()
    if trace is not None:
        trace.parent.mkdir(parents=True, exist_ok=True)
        recorded.export_chrome_trace(str(trace))
    return _tables(recorded.key_averages(), labels)


@contextmanager
def _labelled(wrapper: TeacherStudentDetector, has_teacher: bool) -> Iterator[list[str]]:
    """Context in which the profiler sees each part under its name."""
    modules: dict[str, nn.Module] = {}
    detectors = {"student": wrapper.student}
    if has_teacher:
        detectors["teacher"] = wrapper.teacher
    for role, detector in detectors.items():
        for part in _PARTS:
            if isinstance(getattr(detector, part, None), nn.Module):
                modules[f"{role}.{part}"] = getattr(detector, part)
    modules |= {f"term.{name}": term for name, term in wrapper.terms.items()}
    handles = []
    for name, module in modules.items():
        before, after = _range(name)
        handles.append(module.register_forward_pre_hook(before, prepend=True))
        handles.append(module.register_forward_hook(after))
    try:
        yield list(modules)
    finally:
        for handle in handles:
            handle.remove()


def _range(name: str) -> tuple[Callable[..., None], Callable[..., None]]:
    open_ranges: list[Any] = []

    def before(module: nn.Module, args: Any) -> None:
        open_ranges.append(record_function(name))
        open_ranges[-1].__enter__()

    def after(module: nn.Module, args: Any, output: Any) -> None:
        open_ranges.pop().__exit__(None, None, None)

    return before, after


def _tables(events: EventList, labels: list[str]) -> str:
    found = {event.key: event for event in events}
    lines = ["forward of                      ms"]
    for label in labels:
        if label in found:
            lines.append(f"{label:24}{_milliseconds(found[label], 'total'):10.1f}")
    lines.append("operator, forward and backward  ms   calls")
    own = [event for event in events if event.key not in labels]
    own.sort(key=lambda event: _milliseconds(event, "self"), reverse=True)
    for event in own[:_OPERATORS]:
        milliseconds = _milliseconds(event, "self")
        lines.append(f"{event.key[:34]:34}{milliseconds:10.1f}{event.count:8d}")
    return "\n".join(lines)


def _milliseconds(event: Any, of: str) -> float:
    """On a GPU the time of its kernels, else that of the CPU."""
    device = getattr(event, "device_time_total" if of == "total" else "self_device_time_total")
    cpu = getattr(event, "cpu_time_total" if of == "total" else "self_cpu_time_total")
    return float(device or cpu) / 1000
