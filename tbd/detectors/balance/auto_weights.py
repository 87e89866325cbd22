"""Weights of distillation terms that are set once, by how hard the terms pull at the student."""

from collections.abc import Iterable, Mapping

import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from torch import Tensor

from tbd.distill import DistillationTerm

ITERATIONS = 20
"""How many iterations are measured before the weights are fixed."""


class AutoWeights:
    r"""Weights of the terms whose config says ``loss_weight="auto"``.

    Let :math:`g_s` be the norm of the gradient of the student's own loss on its neck, :math:`g_i`
    that of the i-th of k automatic terms at weight 1, both averaged over the first iterations in
    which the term reaches the student, and :math:`\sigma` the share. The weight is

    .. math:: w_i = \frac{\sigma}{k (1 - \sigma)} \frac{\bar g_s}{\bar g_i}

    so that of the sum of all these norms the terms get σ, in equal parts. During the first
    iterations the means so far decide; then the weight is kept in the term's buffer
    ``auto_weight``, and so in checkpoints.

    Args:
        terms: All terms by name.
        share: The share σ, in (0, 1).
        iterations: Iterations that are measured.

    Raises:
        ValueError: if the share is out of its range.
    """

    def __init__(
        self, terms: Mapping[str, DistillationTerm], share: float, iterations: int = ITERATIONS
    ) -> None:
        if not 0 < share < 1:
            raise ValueError(f"model.auto_share={share} must lie between 0 and 1.")
        self._terms = {name: term for name, term in terms.items() if term.auto_weight is not None}
        self._factor = share / ((1 - share) * max(1, len(self._terms)))
        self._share = share
        self._iterations = iterations
        self._fixed: dict[str, float] = {}
        self._sums: dict[str, tuple[Tensor, Tensor, int]] = {}

    def pending(self, active: Iterable[str]) -> list[str]:
        """Those of some terms whose weight is not fixed yet."""
        return [name for name in active if name in self._terms and self._known(name) is None]

    def observe(self, name: str, student: Tensor, term: Tensor) -> None:
        """Take in one iteration.

        Args:
            name: Name of the term.
            student: Norm of the gradient of the student's own loss.
            term: Norm of that of the term at weight 1.

        Raises:
            RuntimeError: if the term never reached the neck.
        """
        both = torch.stack([student, term]).nan_to_num(0.0, 0.0, 0.0)
        all_reduce(both, op="mean")
        zero = torch.zeros_like(both[0])
        student_sum, term_sum, count = self._sums.get(name, (zero, zero, 0))
        self._sums[name] = (student_sum + both[0], term_sum + both[1], count + 1)
        if count + 1 >= self._iterations:
            self._fix(name)

    def weight(self, name: str) -> float | Tensor:
        """The weight of a term at the moment; 1 for one that has a number of its own."""
        if name not in self._terms:
            return 1.0
        known = self._known(name)
        if known is not None:
            return known
        if name not in self._sums:
            return 1.0
        student, term, _ = self._sums[name]
        return torch.where(term > 0, self._factor * student / term, torch.ones_like(term))

    def _known(self, name: str) -> float | None:
        if name not in self._fixed:
            stored = self._terms[name].auto_weight
            if stored is None or stored.item() == 0:
                return None
            self._fixed[name] = stored.item()
        return self._fixed[name]

    def _fix(self, name: str) -> None:
        student, term, count = (float(value) for value in self._sums.pop(name))
        if not (student > 0 and term > 0):
            raise RuntimeError(
                f"distill.{name}.loss_weight='auto': in {count:.0f} iterations the norm of the "
                f"gradient on the student's neck was {student / count:.3g} for the student's own "
                f"loss and {term / count:.3g} for the term, which no weight can balance. Set a "
                "number."
            )
        weight = self._factor * student / term
        stored = self._terms[name].auto_weight
        assert stored is not None
        stored.fill_(weight)
        self._fixed[name] = weight
        print_log(
            f"distill.{name}.loss_weight is {weight:.4g} from now on, set automatically: over "
            f"{count:.0f} iterations the gradient of the term at weight 1 on the student's neck "
            f"had {term / student:.3g} times the norm of that of the student's own loss; "
            f"model.auto_share={self._share:g} goes to {len(self._terms)} automatic "
            f"{'term' if len(self._terms) == 1 else 'terms'}.",
            logger="current",
        )
