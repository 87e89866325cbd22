"""Quality-aligned distillation: scores that the student's own boxes deserve, and good boxes."""

import torch
from torch import Tensor

from tbd.checks import check_choice, check_not_negative, check_same_shape
from tbd.distill.correspondence import check_class_scores
from tbd.distill.object_regions import object_regions
from tbd.distill.prediction_losses import BoxOverlap, box_overlap_loss, quality_focal_loss
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.harmony import localization_probability
from tbd.precision import at_least_float32
from tbd.predictions import binary_class_rows
from tbd.registry import MODELS

EPS = 1e-6


def relative_quality(iou_s: Tensor, iou_t: Tensor) -> Tensor:
    """How well the student's boxes are placed beside the teacher's, min(1, u^s / u^t).

    Args:
        iou_s: The u^s, any shape: IoU of the student's boxes with the objects that they cover best.
        iou_t: The u^t, the same shape: likewise of the teacher's boxes.

    Returns:
        Numbers in [0, 1], of that shape; 1 where the teacher's box covers nothing.

    Raises:
        ValueError: if the shapes differ.
    """
    check_same_shape(iou_s=iou_s, iou_t=iou_t)
    return torch.where(iou_t > 0, (iou_s / iou_t.clamp(min=EPS)).clamp(max=1.0), 1.0)


@MODELS.register_module()
class QualityAlignedDistillation(DistillationTerm):
    """The student learns the scores that its own boxes deserve, and its teacher's good boxes.

    QAD, an extension of this project to harmony distillation, of no paper. There a
    softmax over all predictions of a level leaves most of them a probability
    near 0, so it is boxes that are taught and hardly scores. Here both are:

    * L_cls = Σ_ij |p_ij^s − q_ij|^β·BCE(p_ij^s, q_ij) / N over predictions i and
      classes j, with p = σ(logit), and q = p^t·min(1, u^s / u^t)^γ the teacher's
      score, lowered where the student's box is worse than the teacher's; u is
      the IoU with the object that a box covers best, N the number of locations
      that stand for an object (counted by ATSS on the ground truth; at least 1);
    * L_bbox = Σ_i ψ_i·(1 − GIoU(box_i^s, box_i^t)) / Σ_i ψ_i with
      ψ_i = u_i^t·max_j p_ij^t, which is large where the teacher does both tasks
      well.

    q and ψ are constants. Predictions are compared one by one.

    Args:
        loss_weight: Weight of L_cls.
        bbox_weight: Weight of L_bbox relative to L_cls, not negative.
        beta: The β, not negative.
        gamma: The γ, not negative: how much a worse box lowers the score that is taught.
        overlap: ``"giou"``, or ``"iou"``, which has no gradient for boxes that do not overlap.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"predictions"})

    def __init__(
        self,
        loss_weight: float = 2.0,
        bbox_weight: float = 3.0,
        beta: float = 1.0,
        gamma: float = 1.0,
        overlap: BoxOverlap = "giou",
    ) -> None:
        super().__init__(loss_weight)
        check_not_negative(bbox_weight=bbox_weight, beta=beta, gamma=gamma)
        check_choice(BoxOverlap, overlap=overlap)
        self.bbox_weight = bbox_weight
        self.beta = beta
        self.gamma = gamma
        self.overlap: BoxOverlap = overlap
        self._student: DetectorSpec | None = None

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Check that the predictions and the classes of both heads correspond."""
        self.compares_classes = check_class_scores(student, teacher)
        self._student = student

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"QualityAlignedDistillation(loss_weight={self.loss_weight}, "
            f"bbox_weight={self.bbox_weight}, beta={self.beta}, gamma={self.gamma}, "
            f"overlap={self.overlap})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_cls``, ``loss_bbox`` and, to be logged, ``box_quality``.

        The last is the mean of :func:`relative_quality`, weighted by ψ.
        """
        assert student.predictions is not None
        assert teacher.predictions is not None
        assert self._student is not None
        cls_losses, box_losses, weights, qualities = [], [], [], []
        for level in range(len(student.predictions.cls_logits)):
            logits_s, logits_t = (
                binary_class_rows(view.predictions, level).flatten(0, 1)  # type: ignore[arg-type]
                for view in (student, teacher)
            )
            boxes_s = student.predictions.boxes[level]
            boxes_t = teacher.predictions.boxes[level].detach()
            with torch.no_grad():
                scores_t = at_least_float32(logits_t).sigmoid()
                iou_s, iou_t = (
                    localization_probability(boxes, student.gt.boxes).flatten()
                    for boxes in (boxes_s.detach(), boxes_t)
                )
                quality = relative_quality(iou_s, iou_t)
                target = scores_t * quality.pow(self.gamma)[:, None]
                weight = iou_t * scores_t.amax(dim=1)
            qualities.append((weight * quality).sum())
            cls_losses.append(quality_focal_loss(logits_s, target, self.beta).sum())
            apart = box_overlap_loss(boxes_s.flatten(0, 1), boxes_t.flatten(0, 1), self.overlap)
            box_losses.append((weight * apart).sum())
            weights.append(weight.sum())
        positives = normalizer(object_regions(student, self._student).count(), 1.0)
        total = torch.stack(weights).sum()
        cls_loss = torch.stack(cls_losses).sum() / positives
        box_loss = torch.stack(box_losses).sum() / normalizer(total, EPS)
        return {
            "loss_cls": self.loss_weight * cls_loss,
            "loss_bbox": self.loss_weight * self.bbox_weight * box_loss,
            "box_quality": torch.stack(qualities).sum() / total.clamp(min=EPS),
        }
