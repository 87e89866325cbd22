"""Base class of all distillation terms."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tbd.checks import check_not_negative
from tbd.distill.spec import DetectorSpec
from tbd.distill.view import View

Read = Literal[
    "features", "backbone", "head_features", "predictions", "queries", "rois", "head", "images"
]
"""A part of a detector's work that a term compares; see the fields of :class:`View`."""


class UnsuitablePairError(ValueError):
    """A pair of detectors cannot carry a distillation term.

    Args:
        term: Name of the term, its key in ``model.distill``.
        reason: What does not suit, naming both sides.
        advice: What to change; may be empty.
        needs: What the term reads and one of the detectors does not give; None
            where something else does not suit.

    Attributes:
        term: As given.
        reason: As given.
        needs: As given.
    """

    def __init__(self, term: str, reason: str, advice: str = "", needs: Read | None = None) -> None:
        super().__init__(f"distill.{term}: {reason} {advice}".rstrip())
        self.term = term
        self.reason = reason
        self.needs = needs


class DistillationTerm(nn.Module, ABC):
    """One loss between the views of a student and a teacher.

    A term never knows which detector it distills. It is constructed from its
    config alone, :meth:`connect`-ed once when the detectors are known, and
    called at every step, outside autocast.

    Args:
        loss_weight: Factor on the term's losses, finite and not negative.

    Raises:
        ValueError: if ``loss_weight`` is negative or not finite.

    Attributes:
        reads: What both views must hold. The wrapper runs exactly what the
            terms of a run read together.
        reads_teacher: Whether the term looks at the teacher at all. One that
            does not, as it has a teacher of its own, also works where
            ``model.teacher`` is None.
        student_modules: Paths of modules of the student, such as
            ``"backbone.layer3"``, whose outputs the term finds in
            ``View.outputs``; known once the term is constructed.
        teacher_modules: Likewise of the teacher.
        preactivations: Numbers, counted from 1, of tower convolutions of which
            ``View.head_features``, which it must read, is also to hold what they
            give before their activation, in a copy; known once it is connected.
        trial_options: Arguments with which it also runs on random weights, where
            a trial of few steps or a measurement cannot wait for training.
        own_losses: Names of losses that reach the term's own layers alone, not the student.
            Automatic weights, and what the log says of the size of a term, leave them out.
        auto_weight: Factor that the wrapper sets once, in a buffer; 0 until then, None where
            ``loss_weight`` is a number. Beside it ``loss_weight`` is 1.
        compares_classes: Whether classes of both sides are paired by their
            number, so that these must mean the same.
    """

    reads: frozenset[Read] = frozenset({"features"})
    reads_teacher: bool = True
    student_modules: tuple[str, ...] = ()
    teacher_modules: tuple[str, ...] = ()
    preactivations: frozenset[int] = frozenset()
    trial_options: ClassVar[Mapping[str, Any]] = {}
    compares_classes: bool = False
    own_losses: frozenset[str] = frozenset()
    auto_weight: Tensor | None

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        check_not_negative(loss_weight=loss_weight)
        self.loss_weight = loss_weight
        self.register_buffer("auto_weight", None)

    def weigh_automatically(self) -> None:
        """Leave the weight to the wrapper; it is kept in checkpoints."""
        self.register_buffer("auto_weight", torch.zeros(()))

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Check that the pair suits the term and create its layers.

        Called once, before the optimizer is built. Where the term reads
        ``"features"``, ``"predictions"`` or ``"head_features"``, the pyramid
        levels of both sides are those that are compared with one another, as
        many and, unless ``resize`` is set, of the same strides.

        Raises:
            ValueError: if the pair does not suit, naming both sides and the
                config key to change.
        """

    def describe(self) -> str:
        """Name the term and its settings, for the start-up report."""
        return f"{type(self).__name__}(loss_weight={self.loss_weight})"

    def idle_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that have no part in the losses at the moment; by default there are none."""
        return ()

    @abstractmethod
    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Compare one step's views.

        Args:
            student: The student's view; its tensors carry gradients.
            teacher: The teacher's view; its tensors are constants.

        Returns:
            Scalars; those whose name contains ``"loss"`` are summed into the
            training loss, the others are logged.
        """
