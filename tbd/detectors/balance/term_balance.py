"""How strongly terms act beside the student's own loss: set, said and measured."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mmdet.models.detectors.base import BaseDetector
from torch import Tensor

from tbd.detectors.balance.auto_weights import AutoWeights
from tbd.detectors.balance.loss_scales import LossScales
from tbd.detectors.balance.neck_gradients import NeckGradients
from tbd.distill import DistillationTerm

STUDENT = "student"
"""Key of the student's own loss among the norms of gradients."""


class TermBalance:
    """Weighs the losses of terms, and keeps watch over how they stand to one another.

    Args:
        terms: The terms by name.
        auto_share: See :class:`AutoWeights`.

    Attributes:
        gradient_norms: Norm of the gradient on the student's neck, of its own loss and of every
            term with its weight, of the last step before which :meth:`request_gradients` was
            called.
    """

    def __init__(self, terms: Mapping[str, DistillationTerm], auto_share: float) -> None:
        self.gradient_norms: dict[str, float] = {}
        self._terms = terms
        self._auto = AutoWeights(terms, auto_share)
        self._scales = LossScales(terms)
        self._requested = False
        self._watch: NeckGradients | None = None

    def request_gradients(self) -> None:
        """Measure the norms of the gradients at the next step; nothing else of it changes."""
        self._requested = True

    @contextmanager
    def watching(self, student: BaseDetector, active: Sequence[str]) -> Iterator[None]:
        """Context for the student's step, in which its neck is watched if anything is measured.

        Args:
            student: The student.
            active: Names of the terms that take part.
        """
        self._watch = None
        if self._requested or self._auto.pending(active):
            self._watch = NeckGradients(student)
            with self._watch:
                yield
        else:
            yield

    def weigh(
        self,
        student: Mapping[str, Any],
        terms: Mapping[str, Mapping[str, Tensor]],
        factors: Mapping[str, float],
    ) -> dict[str, dict[str, Tensor]]:
        """Multiply the losses of terms by their schedules and automatic weights.

        Args:
            student: The student's own losses.
            terms: What each active term returned.
            factors: Factor of each term's schedule.

        Returns:
            The same, losses weighed and other values as they were. Where a loss is weighed,
            ``raw_<part>`` beside ``loss_<part>`` is what it was before, for the log.
        """
        watch, self._watch = self._watch, None
        teaching = self._teaching(terms)
        pending = self._auto.pending(list(teaching))
        own = watch.norm(student) if watch and (pending or self._requested) else None
        if watch and own is not None:
            for name in pending:
                self._auto.observe(name, own, watch.norm(teaching[name]))
        weighed = {}
        for name, losses in terms.items():
            factor = factors[name] * self._auto.weight(name)
            weighed[name] = {
                key: value * factor if "loss" in key else value for key, value in losses.items()
            }
        if watch and own is not None and self._requested:
            norms = {name: float(watch.norm(losses)) for name, losses in weighed.items()}
            self.gradient_norms = {STUDENT: float(own), **norms}
            self._requested = False
        self._scales.observe(student, self._teaching(weighed))
        for name, losses in terms.items():
            term = self._terms[name]
            weight = term.loss_weight
            # An automatic weight is not looked at, for which the device would have to be waited.
            if weight > 0 and (weight, factors[name], term.auto_weight) != (1, 1, None):
                weighed[name] |= {
                    key.replace("loss", "raw"): value.detach() / weight
                    for key, value in losses.items()
                    if "loss" in key
                }
        return weighed

    def _teaching(self, terms: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
        """The losses that reach the student, of the terms that have any."""
        found = {
            name: {
                key: value
                for key, value in losses.items()
                if "loss" in key and key not in self._terms[name].own_losses
            }
            for name, losses in terms.items()
        }
        return {name: losses for name, losses in found.items() if losses}
