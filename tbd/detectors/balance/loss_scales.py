"""How the losses of the terms stand to the student's own at the beginning of a training."""

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch import Tensor

from tbd.detectors.balance.neck_gradients import loss_tensors
from tbd.distill import DistillationTerm

ITERATIONS = 50
"""After how many iterations the log says how the losses stand."""

DROWNS = 3.0
"""From how many times the student's own loss on a term is warned of."""


class LossScales:
    """Means of the losses over the first iterations of a run, said once.

    Args:
        terms: The terms by name.
        iterations: How many iterations.
    """

    def __init__(self, terms: Mapping[str, DistillationTerm], iterations: int = ITERATIONS) -> None:
        self._terms = terms
        self._left = iterations if terms else 0
        self._iterations = iterations
        self._sums: dict[str, dict[str, Tensor]] = {}

    def observe(self, student: Mapping[str, Any], terms: Mapping[str, Mapping[str, Any]]) -> None:
        """Take in one iteration, and after the last of them log what was found.

        Args:
            student: The student's own losses.
            terms: Losses of each term that reaches the student, with its weight and schedule.
        """
        if self._left == 0:
            return
        self._left -= 1
        for name, losses in {"": student, **terms}.items():
            for key, given in losses.items():
                values = [value.detach().mean() for value in loss_tensors({key: given})]
                if values:
                    parts = self._sums.setdefault(name, {})
                    total = sum(values[1:], values[0])
                    parts[key] = parts[key] + total if key in parts else total
        if self._left == 0:
            self._say()

    def _say(self) -> None:
        shares = {}
        means = {}
        for name, parts in self._sums.items():
            found = {key: float(total) / self._iterations for key, total in parts.items()}
            means[name] = sum(found.values())
            largest = max(found, key=lambda key: found[key])
            if len(found) > 1 and means[name] > 0:
                part = largest.replace("loss_", "")
                shares[name] = f", {found[largest] / means[name]:.0%} of it {part}"
        self._sums.clear()
        student = means.pop("", 0.0)
        times = {name: mean / student if student > 0 else 0.0 for name, mean in means.items()}
        said = [
            f"{name} {means[name]:.3g} ({times[name]:.2g} times{shares.get(name, '')})"
            for name in means
        ]
        print_log(
            f"Mean losses of the first {self._iterations} iterations: the student's own "
            f"{student:.3g}; {', '.join(said) or 'no term has taken part'}.",
            logger="current",
        )
        for name, ratio in times.items():
            if ratio >= DROWNS:
                print_log(self._warning(name, ratio), logger="current", level=logging.WARNING)

    def _warning(self, name: str, ratio: float) -> str:
        term = self._terms[name]
        if term.auto_weight is not None:
            advice = "lower model.auto_share, or give it a number"
        else:
            advice = (
                f"{term.loss_weight / ratio:.2g} would make them equal, and loss_weight='auto' "
                "balances their gradients"
            )
        return (
            f"distill.{name} is {ratio:.2g} times the student's own loss and may drown it. Its "
            f"loss_weight is {'auto' if term.auto_weight is not None else term.loss_weight}: "
            f"{advice}."
        )
