"""Size and direction of each loss's gradient on the student's neck."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from tbd.detectors import TeacherStudentDetector
from tbd.detectors.balance.neck_gradients import NeckGradients


@dataclass(frozen=True)
class Direction:
    """Where one loss pulls the student.

    Attributes:
        size: Norm of its gradient, divided by that of the student's own loss as a whole.
        cosines: Cosine of the angle between its gradient and that of a part of the student's own
            loss, by that part's name: 1 pulls the same way, 0 has nothing to do with it, -1 pulls
            against it. Without parts that have no gradient.
    """

    size: float
    cosines: dict[str, float]


@dataclass(frozen=True)
class Directions:
    """Where all losses of a distillation pull its student.

    Attributes:
        batches: Number of batches that they were measured on.
        losses: By the name of the loss, the parts of the student's own first, means over the
            batches; without those that have no gradient on any.
    """

    batches: int
    losses: dict[str, Direction]

    def rounded(self, digits: int) -> "Directions":
        """The same with so many digits behind the point."""
        losses = {
            name: Direction(
                round(loss.size, digits),
                {part: round(cosine, digits) for part, cosine in loss.cosines.items()},
            )
            for name, loss in self.losses.items()
        }
        return Directions(self.batches, losses)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Directions":
        """Read plain data.

        Raises:
            KeyError: if something is missing.
            TypeError: if it is something else.
        """
        losses = {name: Direction(**loss) for name, loss in dict(content["losses"]).items()}
        return cls(int(content["batches"]), losses)


def measure_directions(
    detector: TeacherStudentDetector, batches: Iterable[dict[str, Any]]
) -> Directions:
    """Measure where the losses of a distillation pull the student as it is.

    The gradients are those on the output of the student's neck, over all levels and images of a
    batch together; without a neck, on that of its backbone. No weight changes.

    Args:
        detector: The distillation, in training mode.
        batches: As its dataloader gives them.
    """
    found: dict[str, list[Direction]] = {}
    count = 0
    for batch in batches:
        data = detector.data_preprocessor(batch, True)
        with NeckGradients(detector.student) as watch:
            losses = detector.loss(data["inputs"], data["data_samples"])
        for name, direction in _directions(watch, losses).items():
            found.setdefault(name, []).append(direction)
        count += 1
    return Directions(count, {name: _mean(directions) for name, directions in found.items()})


def _directions(watch: NeckGradients, losses: Mapping[str, Any]) -> dict[str, Direction]:
    gradients = {}
    for name, value in losses.items():
        if "loss" in name:
            gradient = watch.gradient({name: value})
            if (norm := _dot(gradient, gradient).sqrt()) > 0:
                gradients[name] = (gradient, norm)
    own = [name for name in gradients if "." not in name]
    # The gradient of a sum is the sum of the gradients.
    outputs = zip(*(gradients[part][0] for part in own), strict=True)
    summed = [torch.stack(parts).sum(dim=0) for parts in outputs]
    whole = _dot(summed, summed).sqrt()
    return {
        name: Direction(
            float(norm / whole),
            {
                part: float(_dot(gradient, gradients[part][0]) / norm / gradients[part][1])
                for part in own
            },
        )
        for name, (gradient, norm) in gradients.items()
    }


def _dot(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(one, other, strict=True)]).sum()


def _mean(directions: Sequence[Direction]) -> Direction:
    cosines: dict[str, list[float]] = {}
    for direction in directions:
        for part, cosine in direction.cosines.items():
            cosines.setdefault(part, []).append(cosine)
    return Direction(
        statistics.fmean(direction.size for direction in directions),
        {part: statistics.fmean(values) for part, values in cosines.items()},
    )
