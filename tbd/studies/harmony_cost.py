"""How the cost of localization probabilities grows with predictions and with ground truth."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from mmengine.device import get_device
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from tbd.harmony import localization_probability
from tbd.studies.stopwatch import Clock, stopwatch


@dataclass(frozen=True)
class HarmonyCost:
    """Cost of the IoU of all predictions of one image with their best ground truth.

    Attributes:
        predictions: Number of predicted boxes.
        ground_truths: Number of ground-truth boxes.
        overlapping: Share of the predictions that overlap any of them. The others have no
            gradient, nor weight in harmony distillation where they are the teacher's.
        seconds: Median time of forward and backward.
        graph: Memory in bytes that the graph holds between them.
    """

    predictions: int
    ground_truths: int
    overlapping: float
    seconds: float
    graph: int


def measure_growth(
    predictions: Sequence[int] = (10_000, 100_000, 1_000_000),
    ground_truths: Sequence[int] = (1, 10, 100, 1000),
    rounds: int = 3,
    clock: Clock = "wall",
) -> Iterator[HarmonyCost]:
    """Measure every number of predictions with ten boxes, and every number of boxes.

    Args:
        predictions: Numbers of predictions of the first curve.
        ground_truths: Numbers of boxes of the second curve, with the second number of
            predictions.
        rounds: How often each point is measured after a first time.
        clock: What is read, see :func:`~tbd.studies.stopwatch.stopwatch`.
    """
    fixed = predictions[min(1, len(predictions) - 1)]
    for number in predictions:
        yield _measure(number, 10, rounds, clock)
    for number in ground_truths:
        yield _measure(fixed, number, rounds, clock)


def _measure(predictions: int, ground_truths: int, rounds: int, clock: Clock) -> HarmonyCost:
    device = torch.device(get_device())
    generator = torch.Generator().manual_seed(0)
    boxes = _boxes(predictions, generator).to(device).requires_grad_()
    gts = [_boxes(ground_truths, generator).to(device)]
    seconds = stopwatch(clock, device)

    def work() -> None:
        localization_probability(boxes[None], gts).sum().backward()

    times = [seconds(work) for _ in range(rounds + 1)][1:]
    overlapping = float((localization_probability(boxes.detach()[None], gts) > 0).float().mean())
    return HarmonyCost(
        predictions, ground_truths, overlapping, statistics.median(times), _graph(boxes, gts)
    )


def _graph(boxes: Tensor, gts: list[Tensor]) -> int:
    held: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        localization_probability(boxes[None], gts)
    return sum(held.values())


def _boxes(number: int, generator: torch.Generator) -> Tensor:
    """Boxes of 8 to 200 pixels in an image of 800×1344."""
    low = torch.rand(number, 2, generator=generator) * torch.tensor([1144.0, 600.0])
    return torch.cat([low, low + 8 + 192 * torch.rand(number, 2, generator=generator)], dim=1)
