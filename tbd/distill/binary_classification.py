"""Binary classification distillation with IoU-based localization distillation (BCKD)."""

import torch
from torch import Tensor

from tbd.checks import check_choice, check_not_negative
from tbd.distill.correspondence import check_class_scores
from tbd.distill.object_regions import object_regions
from tbd.distill.prediction_losses import (
    BoxOverlap,
    box_overlap_loss,
    quality_focal_distillation_loss,
)
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.predictions import binary_class_rows
from tbd.registry import MODELS


@MODELS.register_module()
class BinaryClassificationDistillation(DistillationTerm):
    """The student learns each class score by itself, and the boxes where scores differ.

    BCKD (Yang et al., ICCV 2023, arXiv 2308.14286). Over all predictions i and
    classes j, L_cls = Σ_ij w_ij·BCE(p_ij^s, p_ij^t) with p = σ(logit) and
    w = |p^t − p^s|, and L_loc = Σ_i max_j w_ij·(1 − IoU(box_i^s, box_i^t)),
    both divided by the number of positive locations, as in the authors' code.
    They are counted by ATSS on the ground truth, which is the assigner of GFL,
    the paper's detector, whatever assigner the student has. In L_cls the weight
    carries a gradient, in L_loc it is a constant, as in that code.

    Args:
        loss_weight: Weight of L_cls, the paper's α1.
        bbox_weight: Weight of L_loc relative to L_cls, the paper's α2; not negative.
        beta: Exponent of the weight in L_cls, not negative.
        overlap: ``"iou"``, as in the paper, or ``"giou"``, as in the authors' code,
            which has a gradient for boxes that do not overlap too.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"predictions"})

    def __init__(
        self,
        loss_weight: float = 1.0,
        bbox_weight: float = 4.0,
        beta: float = 1.0,
        overlap: BoxOverlap = "iou",
    ) -> None:
        super().__init__(loss_weight)
        check_not_negative(bbox_weight=bbox_weight, beta=beta)
        check_choice(BoxOverlap, overlap=overlap)
        self.bbox_weight = bbox_weight
        self.beta = beta
        self.overlap: BoxOverlap = overlap
        self._student: DetectorSpec | None = None

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Check that the predictions and the classes of both heads correspond."""
        self.compares_classes = check_class_scores(student, teacher)
        self._student = student

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"BinaryClassificationDistillation(loss_weight={self.loss_weight}, "
            f"bbox_weight={self.bbox_weight}, beta={self.beta}, overlap={self.overlap})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_cls`` and ``loss_bbox``."""
        assert student.predictions is not None
        assert teacher.predictions is not None
        assert self._student is not None
        cls_losses, box_losses = [], []
        for level in range(len(student.predictions.cls_logits)):
            logits_s = binary_class_rows(student.predictions, level)
            logits_t = binary_class_rows(teacher.predictions, level)
            cls_losses.append(quality_focal_distillation_loss(logits_s, logits_t, self.beta).sum())
            weight = (logits_t.sigmoid() - logits_s.detach().sigmoid()).abs().amax(dim=2)
            boxes_s, boxes_t = (
                view.predictions.boxes[level].flatten(0, 1)  # type: ignore[union-attr]
                for view in (student, teacher)
            )
            overlap = box_overlap_loss(boxes_s, boxes_t, self.overlap)
            box_losses.append((weight.flatten() * overlap).sum())
        positives = normalizer(object_regions(student, self._student).count(), 1.0)
        return {
            "loss_cls": self.loss_weight * torch.stack(cls_losses).sum() / positives,
            "loss_bbox": (
                self.loss_weight * self.bbox_weight * torch.stack(box_losses).sum() / positives
            ),
        }
