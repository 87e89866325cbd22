"""Distillation of class logits, in the forms that the field uses."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tbd.checks import check_choice, check_not_negative, check_positive, check_same_shape
from tbd.distill.checks import check_has_effect
from tbd.distill.correspondence import check_class_scores, heads_of
from tbd.distill.object_regions import object_regions
from tbd.distill.prediction_losses import quality_focal_distillation_loss, softmax_divergence
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.precision import at_least_float32
from tbd.predictions import DensePredictions, binary_class_rows, class_rows
from tbd.registry import MODELS

Kind = Literal["quality_focal", "sigmoid", "softmax"]
"""How two rows of class logits are compared."""

Region = Literal["all", "objects"]
"""Which predictions are compared: all, or those at locations that stand for an object."""


def softmax_distillation_loss(logits_s: Tensor, logits_t: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's class probabilities from the teacher's.

    T²·KL(softmax(teacher / T) ‖ softmax(student / T)); Hinton et al. (arXiv
    1503.02531), section 2.

    Args:
        logits_s: Student's logits [rows, classes].
        logits_t: Teacher's logits [rows, classes]; a constant.
        temperature: The T, positive.

    Returns:
        One number for each row [rows], not negative.

    Raises:
        ValueError: if the shapes differ or the temperature is not positive.
    """
    return softmax_divergence(logits_s, logits_t, temperature).sum(dim=1)


def sigmoid_distillation_loss(logits_s: Tensor, logits_t: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the student's class scores with the teacher's, each class by itself.

    T²·Σ_classes BCE(σ(student / T), σ(teacher / T)). Its least value, where
    both are equal, is the entropy of the teacher's scores, not 0.

    Args:
        logits_s: Student's logits [rows, classes].
        logits_t: Teacher's logits [rows, classes]; a constant.
        temperature: The T, positive.

    Returns:
        One number for each row [rows], not negative.

    Raises:
        ValueError: if the shapes differ or the temperature is not positive.
    """
    check_same_shape(logits_s=logits_s, logits_t=logits_t)
    check_positive(temperature=temperature)
    student, teacher = (
        at_least_float32(logits) / temperature for logits in (logits_s, logits_t.detach())
    )
    entropy = binary_cross_entropy_with_logits(student, teacher.sigmoid(), reduction="none")
    return temperature**2 * entropy.sum(dim=1)


@MODELS.register_module()
class LogitDistillation(DistillationTerm):
    """The student's class scores follow the teacher's, prediction by prediction.

    The sum over the predictions of one of three losses, divided by the number
    of locations that stand for an object (counted by ATSS on the ground truth;
    at least 1):

    * ``"quality_focal"``: Σ_classes BCE(σ(s), σ(t))·|σ(s) − σ(t)|^β, Quality
      Focal Loss (Li et al., arXiv 2006.04388) with the teacher's score
      as the quality;
    * ``"sigmoid"``: T²·Σ_classes BCE(σ(s / T), σ(t / T));
    * ``"softmax"``: T²·KL between softmaxes over the classes, with the
      background where the heads have one; Hinton et al. (arXiv 1503.02531).

    The first two read a softmax classifier as one of each class against all
    else. The third says nothing of how sure a sigmoid classifier is, least of
    all on the background, so ``region="objects"`` suits it there.

    Args:
        loss_weight: Factor on the loss.
        kind: See above.
        temperature: The T of ``"sigmoid"`` and ``"softmax"``, positive.
        beta: The β of ``"quality_focal"``, not negative.
        region: ``"all"`` compares all predictions, ``"objects"`` those at
            locations that stand for an object.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"predictions"})

    def __init__(
        self,
        loss_weight: float = 1.0,
        kind: Kind = "quality_focal",
        temperature: float = 1.0,
        beta: float = 1.0,
        region: Region = "all",
    ) -> None:
        super().__init__(loss_weight)
        check_positive(temperature=temperature)
        check_not_negative(beta=beta)
        check_choice(Kind, kind=kind)
        check_choice(Region, region=region)
        if kind == "quality_focal" and temperature != 1:
            raise ValueError(
                f"temperature={temperature} has no place in kind='quality_focal'; leave it out, or "
                "set kind='sigmoid' or kind='softmax'."
            )
        if kind != "quality_focal":
            check_has_effect(f"with kind={kind!r}", beta=(beta, 1.0))
        self.kind = kind
        self.temperature = temperature
        self.beta = beta
        self.region = region
        self._student: DetectorSpec | None = None

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Check that the predictions and the classes of both heads correspond."""
        head_s, head_t = heads_of(student, teacher)
        self.compares_classes = check_class_scores(student, teacher)
        if self.kind == "softmax":
            names = [
                f"{head.type} {'with' if head.background else 'without'} a background class"
                for head in (head_s, head_t)
            ]
            if head_s.background != head_t.background:
                raise ValueError(
                    f"kind='softmax' needs the same classes on both sides, but the student has a "
                    f"{names[0]} and the teacher a {names[1]}. Set kind='sigmoid' or "
                    "kind='quality_focal', which compare each class by itself."
                )
            if head_s.num_classes + int(head_s.background) < 2:
                raise ValueError(
                    f"kind='softmax' over the only class of the {names[0]} is always 1. Set "
                    "kind='sigmoid' or kind='quality_focal'."
                )
        self._student = student

    def describe(self) -> str:
        """Name the settings."""
        setting = (
            f"beta={self.beta}"
            if self.kind == "quality_focal"
            else f"temperature={self.temperature}"
        )
        return (
            f"LogitDistillation(loss_weight={self.loss_weight}, kind={self.kind}, {setting}, "
            f"region={self.region})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_cls``."""
        assert student.predictions is not None
        assert teacher.predictions is not None
        assert self._student is not None
        regions = object_regions(student, self._student)
        losses = []
        for level, main in enumerate(regions.main):
            rows_s, rows_t = (
                self._rows(view, level) for view in (student.predictions, teacher.predictions)
            )
            if self.region == "objects":
                per_location = rows_s.shape[1] // main[0].numel()
                chosen = main.flatten(1).repeat_interleave(per_location, dim=1)
                rows_s, rows_t = rows_s[chosen], rows_t[chosen]
            else:
                rows_s, rows_t = rows_s.flatten(0, 1), rows_t.flatten(0, 1)
            losses.append(self._loss(rows_s, rows_t).sum())
        positives = normalizer(regions.count(), 1.0)
        return {"loss_cls": self.loss_weight * torch.stack(losses).sum() / positives}

    def _rows(self, predictions: DensePredictions, level: int) -> Tensor:
        if self.kind == "softmax":
            return class_rows(predictions, level)
        return binary_class_rows(predictions, level)

    def _loss(self, rows_s: Tensor, rows_t: Tensor) -> Tensor:
        if self.kind == "quality_focal":
            return quality_focal_distillation_loss(rows_s, rows_t, self.beta)
        if self.kind == "sigmoid":
            return sigmoid_distillation_loss(rows_s, rows_t, self.temperature)
        return softmax_distillation_loss(rows_s, rows_t, self.temperature)
