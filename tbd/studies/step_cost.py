"""What one step of distillation costs beside plain training: time and memory."""

import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData
from torch import Tensor

from tbd.detectors import TeacherStudentDetector, build_detector, resolve_model_config
from tbd.detectors.weights import without_pretrained
from tbd.distill import trial_terms
from tbd.registry import MODELS

MIB = 2**20


@dataclass(frozen=True)
class StepBatch:
    """The synthetic batch that is measured on.

    Attributes:
        batch_size: Number of images.
        height: Their height in pixels.
        width: Their width in pixels.
        boxes: Ground-truth boxes in each image.
    """

    batch_size: int
    height: int
    width: int
    boxes: int


@dataclass(frozen=True)
class StepTimes:
    """Medians over the rounds, in seconds.

    Attributes:
        plain: Forward, backward and update of the student alone.
        teacher: The teacher's backbone, neck and dense head, without gradient.
        distilled: Forward, backward and update of the student with every term.
        ratio: Median over the rounds of distilled / (plain + teacher).
    """

    plain: float
    teacher: float
    distilled: float
    ratio: float


@dataclass(frozen=True)
class StepMemory:
    """Peak memory beyond what the process holds before any model is built, in MiB.

    Attributes:
        plain: Of plain steps of the student.
        distilled: Of steps with every term.
        teacher_weights: Size of the teacher's parameters and buffers.
        ratio: distilled / (plain + teacher_weights).
    """

    plain: float
    distilled: float
    teacher_weights: float
    ratio: float


def measure_times(
    model: ConfigDict, batch: StepBatch, rounds: int, progress: Callable[[str], None]
) -> StepTimes:
    """Time plain, teacher and distilled steps in turn, in this process.

    Args:
        model: Config of a :class:`~tbd.TeacherStudentDetector`; weights are
            random, since they do not change what a step costs.
        batch: What to step on.
        rounds: How often each part is timed, after one round of warm-up.
        progress: Called with a line after every round.
    """
    wrapper, optimizer, data = _prepare(model, batch)

    def plain() -> None:
        _update(wrapper.student, optimizer, data)

    @torch.no_grad()
    def teacher() -> None:
        name = wrapper.teacher_head
        features = wrapper.teacher.extract_feat(data["inputs"])
        if name:
            getattr(wrapper.teacher, name)(features)

    def distilled() -> None:
        _update(wrapper, optimizer, data)

    parts = (plain, teacher, distilled)
    measured = []
    for number in range(rounds + 1):
        seconds = [_seconds(part) for part in parts]
        if number == 0:
            progress("warm-up done")
            continue
        measured.append(seconds)
        progress(
            f"round {number}/{rounds}: plain {seconds[0]:.2f} s, teacher {seconds[1]:.2f} s, "
            f"distilled {seconds[2]:.2f} s"
        )
    plain_time, teacher_time, distilled_time = (
        statistics.median(column) for column in zip(*measured, strict=True)
    )
    ratio = statistics.median(row[2] / (row[0] + row[1]) for row in measured)
    return StepTimes(plain_time, teacher_time, distilled_time, ratio)


def measure_memory(model: ConfigDict, batch: StepBatch, steps: int = 2) -> StepMemory:
    """Measure peaks, each in a fresh process, where nothing else has raised the peak before.

    On a CPU this reads /proc and so needs Linux.
    """
    plain, _ = _in_fresh_process(model, batch, steps, False)
    distilled, weights = _in_fresh_process(model, batch, steps, True)
    return StepMemory(plain, distilled, weights, distilled / (plain + weights))


def _in_fresh_process(
    model: ConfigDict, batch: StepBatch, steps: int, distilled: bool
) -> tuple[float, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (model.to_dict(), asdict(batch), steps, distilled))


def _peak(
    model: dict[str, object], batch: dict[str, int], steps: int, distilled: bool
) -> tuple[float, float]:
    MMLogger.get_current_instance().setLevel("WARNING")
    before = _peak_so_far()
    weights = 0.0
    if distilled:
        wrapper, optimizer, data = _prepare(ConfigDict(model), StepBatch(**batch))
        trained: BaseDetector = wrapper
        tensors = (*wrapper.teacher.parameters(), *wrapper.teacher.buffers())
        weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / MIB
    else:
        config = ConfigDict(model)
        student = resolve_model_config(config.student, config.get("student_options"))
        trained = build_detector(without_pretrained(student)).to(get_device()).train()
        optimizer, data = _optimizer(trained), _data(trained, StepBatch(**batch))
    for _ in range(steps):
        _update(trained, optimizer, data)
    return _peak_so_far() - before, weights


def _peak_so_far() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / MIB
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


def _prepare(
    model: ConfigDict, batch: StepBatch
) -> tuple[TeacherStudentDetector, OptimWrapper, dict[str, object]]:
    config = ConfigDict(model)
    config.student = without_pretrained(
        resolve_model_config(config.student, config.pop("student_options", None))
    )
    config.update(
        teacher_ckpt=None,
        allow_random_teacher=True,
        distill=trial_terms(config.get("distill") or {}),
    )
    wrapper = MODELS.build(config).to(get_device()).train()
    return wrapper, _optimizer(wrapper), _data(wrapper, batch)


def _optimizer(model: BaseDetector) -> OptimWrapper:
    # A vanishing rate: random weights must not diverge, and updates cost the same.
    return OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-9, momentum=0.9))


def _data(model: BaseDetector, batch: StepBatch) -> dict[str, object]:
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([batch.width, batch.height])
    inputs: list[Tensor] = []
    samples = []
    for _ in range(batch.batch_size):
        image = torch.randint(0, 256, (3, batch.height, batch.width), generator=generator)
        corners = torch.rand(batch.boxes, 2, 2, generator=generator).sort(dim=1).values * size
        labels = torch.zeros(batch.boxes, dtype=torch.long)
        instances = InstanceData(bboxes=corners.flatten(1), labels=labels)
        shape = (batch.height, batch.width)
        meta = dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0))
        sample = DetDataSample(metainfo=meta, gt_instances=instances)
        sample.ignored_instances = instances[:0]
        inputs.append(image.to(torch.uint8))
        samples.append(sample)
    return model.data_preprocessor(dict(inputs=inputs, data_samples=samples), True)


def _update(model: BaseDetector, optimizer: OptimWrapper, data: dict[str, object]) -> None:
    loss, _ = model.parse_losses(model(**data, mode="loss"))
    optimizer.update_params(loss)


def _seconds(part: Callable[[], None]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    part()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
