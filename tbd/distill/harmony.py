"""Harmony distillation (HD)."""

from typing import Literal

import torch
from torch import Tensor

from tbd.checks import check_choice, check_same_shape
from tbd.distill.harmony_maps import harmony_maps
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.harmony import Confidence, HarmonyScoreHead, Norm, harmony_weight
from tbd.registry import MODELS

EPS = 1e-6

Target = Literal["harmony", "score"]
"""What is distilled: the harmony score, or the classification probability."""


def harmony_distillation_loss(score_s: Tensor, score_t: Tensor, weight: Tensor | None) -> Tensor:
    """Weighted mean difference of two score maps of one pyramid level.

    Σ weight·|score_t − score_s| / max(Σ weight, 1e-6), the sums over all
    predictions of the level and all images of the batch (of every rank).

    Args:
        score_s: Student's scores, any shape.
        score_t: Teacher's scores, the same shape; a constant.
        weight: Weight of each prediction, the same shape; a constant. None
            weighs all alike.

    Returns:
        A scalar; 0 where all weights are 0, as in a batch without ground truth.

    Raises:
        ValueError: if the shapes differ.
    """
    if weight is None:
        weight = torch.ones_like(score_s)
    check_same_shape(score_s=score_s, score_t=score_t, weight=weight)
    difference = (score_t.detach() - score_s).abs()
    weight = weight.detach()
    return (weight * difference).sum() / normalizer(weight.sum(), EPS)


@MODELS.register_module()
class HarmonyDistillation(DistillationTerm):
    """The student learns how well the teacher's scores and boxes agree.

    L_HD = Σ_l Σ psi·|HS^t − HS^s| / max(Σ psi, eps), Tang et al. (arXiv
    2208.03006). Where the predictions of teacher and student do not correspond
    one to one (other anchors, another head), both are first reduced over the
    anchors of a location by maximum, and locations are compared.

    Args:
        loss_weight: The alpha of the total loss.
        norm: How logits become a classification probability.
        weighted: Weigh predictions by psi; False takes the plain mean.
        target: ``"harmony"`` distills HS, ``"score"`` the classification
            probability in its place.
        confidence: Which logits: ``"class"`` or ``"ranking"``, see
            :class:`~tbd.HarmonyScoreHead`.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"predictions"})

    def __init__(
        self,
        loss_weight: float = 1.0,
        norm: Norm = "softmax",
        weighted: bool = True,
        target: Target = "harmony",
        confidence: Confidence = "class",
    ) -> None:
        super().__init__(loss_weight)
        check_choice(Target, target=target)
        self.harmony_head = HarmonyScoreHead(norm, confidence)
        self.weighted = weighted
        self.target = target
        self.per_location = False

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Compare prediction by prediction where priors coincide, else location by location."""
        layouts = [spec.head.prior_layout if spec.head else None for spec in (student, teacher)]
        self.per_location = layouts[0] != layouts[1]

    def describe(self) -> str:
        """Name the settings and what is compared."""
        unit = "location" if self.per_location else "prediction"
        return (
            f"HarmonyDistillation(loss_weight={self.loss_weight}, norm={self.harmony_head.norm}, "
            f"weighted={self.weighted}, target={self.target}, "
            f"confidence={self.harmony_head.confidence}), {unit} by {unit},"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_harmony`` and, to be logged, the mean harmony of both sides.

        The means are weighted as the loss is: unweighted, they would speak of
        the background, which is most of every image.
        """
        maps_s = harmony_maps(student, self.harmony_head)
        maps_t = harmony_maps(teacher, self.harmony_head)
        if self.per_location:
            maps_s, maps_t = maps_s.per_location(), maps_t.per_location()
        weights = [
            harmony_weight(p_loc_t, p_cls_t, p_cls_s) if self.weighted else torch.ones_like(p_loc_t)
            for p_loc_t, p_cls_t, p_cls_s in zip(
                maps_t.p_loc, maps_t.p_cls, maps_s.p_cls, strict=True
            )
        ]
        compared = "score" if self.target == "harmony" else "p_cls"
        losses = [
            harmony_distillation_loss(score_s, score_t, weight)
            for score_s, score_t, weight in zip(
                getattr(maps_s, compared), getattr(maps_t, compared), weights, strict=True
            )
        ]
        return {
            "loss_harmony": self.loss_weight * torch.stack(losses).sum(),
            "harmony_student": _weighted_mean(maps_s.score, weights),
            "harmony_teacher": _weighted_mean(maps_t.score, weights),
        }


@torch.no_grad()
def _weighted_mean(maps: list[Tensor], weights: list[Tensor]) -> Tensor:
    total = torch.stack([(m * w).sum() for m, w in zip(maps, weights, strict=True)]).sum()
    return total / torch.stack([w.sum() for w in weights]).sum().clamp(min=EPS)
