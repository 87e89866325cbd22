"""How the weight of a term changes in the course of a training."""

import math
from dataclasses import dataclass
from typing import Literal

from mmengine.logging import MessageHub

from tbd.arguments import checked

Decay = Literal["linear", "cosine"]


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        iteration: Iterations done.
        max_iterations: Iterations of the whole training.
        max_epochs: Epochs of the whole training; 1 where it is not counted in epochs.
    """

    iteration: int
    max_iterations: int
    max_epochs: int

    @classmethod
    def of_runner(cls) -> "Progress | None":
        """Read what MMEngine's Runner says of itself; None where none is training."""
        hub = MessageHub.get_current_instance()
        values = [hub.runtime_info.get(key) for key in ("iter", "max_iters", "max_epochs")]
        if values[0] is None or not values[1]:
            return None
        return cls(int(values[0]), int(values[1]), int(values[2] or 1))


@checked
class WeightSchedule:
    """Factor on a term's losses: warm-up, then 1, decay, then nothing.

    It follows the runner's counters alone, so a resumed training goes on as if
    it had not been interrupted.

    Args:
        by_epoch: Lengths are in epochs, fractions allowed; else in iterations.
        warm_up: Length of the rise from 0 to 1 at the start.
        decay: Shape of the fall from 1 to ``final``; None stays at 1.
        decay_from: Where the fall begins; by default at the end of the warm-up.
            It ends where the term goes off, or with the training.
        final: Factor at the end of the decay, in [0, 1].
        off: Length of the end of the training in which the term is not
            computed at all; where no term is left, the teacher is not run.

    Raises:
        TypeError: if a length is no number.
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        by_epoch: bool = False,
        warm_up: float = 0,
        decay: Decay | None = None,
        decay_from: float | None = None,
        final: float = 0.0,
        off: float = 0,
    ) -> None:
        lengths = {"warm_up": warm_up, "decay_from": decay_from, "off": off, "final": final}
        for name, value in lengths.items():
            if value is not None and value < 0:
                raise ValueError(f"schedule.{name}={value} must not be negative.")
        if final > 1:
            raise ValueError(f"schedule.final={final} must be in [0, 1].")
        if decay is None and (decay_from is not None or final):
            raise ValueError(
                f"schedule.decay_from={decay_from} and schedule.final={final} need "
                "schedule.decay='linear' or 'cosine'."
            )
        if decay_from is not None and decay_from < warm_up:
            raise ValueError(
                f"schedule.decay_from={decay_from} lies before the end of "
                f"schedule.warm_up={warm_up}; set it to that or more."
            )
        self.by_epoch = by_epoch
        self.warm_up = warm_up
        self.decay = decay
        self.decay_from = warm_up if decay_from is None else decay_from
        self.final = final
        self.off = off

    def factor(self, progress: Progress) -> float:
        """Factor in [0, 1] for the iteration that comes next.

        Raises:
            ValueError: if the training is shorter than the schedule, or is not
                counted in epochs where the schedule is.
        """
        end, now = float(progress.max_iterations), float(progress.iteration)
        if self.by_epoch:
            if progress.max_epochs <= 1 and max(self.warm_up, self.off, self.decay_from) > 1:
                raise ValueError(
                    "schedule.by_epoch=True, but the training has "
                    f"max_epochs={progress.max_epochs}; set by_epoch=False and give the lengths "
                    "in iterations."
                )
            scale = progress.max_epochs / progress.max_iterations
            now, end = now * scale, float(progress.max_epochs)
        if self.decay_from + self.off > end:
            raise ValueError(
                f"The schedule (warm_up={self.warm_up}, decay_from={self.decay_from}, "
                f"off={self.off}) is longer than the training of {end:g} "
                f"{'epochs' if self.by_epoch else 'iterations'}; shorten it."
            )
        if self.off >= end:
            raise ValueError(
                f"schedule.off={self.off:g} leaves nothing of a training of {end:g} "
                f"{'epochs' if self.by_epoch else 'iterations'}: the term would never be computed; "
                "set it lower, or leave the term out."
            )
        if now >= end - self.off:
            return 0.0 if self.off else self._decayed(1.0)
        if now < self.warm_up:
            return now / self.warm_up
        if now <= self.decay_from:
            return 1.0
        return self._decayed((now - self.decay_from) / (end - self.off - self.decay_from))

    def __str__(self) -> str:
        """Its settings, for the start-up report."""
        unit = "epochs" if self.by_epoch else "iterations"
        parts = [f"{unit}: warm_up={self.warm_up:g}"] if self.warm_up else [unit]
        if self.decay:
            parts.append(f"{self.decay} decay from {self.decay_from:g} to {self.final:g}")
        if self.off:
            parts.append(f"off in the last {self.off:g}")
        return ", ".join(parts)

    def _decayed(self, part: float) -> float:
        if self.decay is None:
            return 1.0
        fall = part if self.decay == "linear" else (1 - math.cos(math.pi * part)) / 2
        return 1 + (self.final - 1) * fall
