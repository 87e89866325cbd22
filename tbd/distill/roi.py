"""Distillation of a two-stage detector's second stage on the student's proposals."""

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor
from torch.nn.functional import kl_div

from tbd.checks import check_not_negative, check_positive, check_same_shape
from tbd.distill.correspondence import check_class_counts
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.precision import at_least_float32
from tbd.predictions import RoIPredictions
from tbd.registry import MODELS

EPS = 1e-6


def roi_classification_loss(logits_s: Tensor, logits_t: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's class probabilities from the teacher's, over proposals.

    T²·mean_r KL(softmax(teacher / T) ‖ softmax(student / T)); Hinton et al.
    (arXiv 1503.02531), for the second stage Chen et al. (NeurIPS 2017).

    Args:
        logits_s: Student's logits [R, C + 1].
        logits_t: Teacher's logits [R, C + 1]; a constant.
        temperature: The T, positive.

    Returns:
        A scalar, at least 0; 0 without proposals.

    Raises:
        ValueError: if the shapes differ.
    """
    check_same_shape(logits_s=logits_s, logits_t=logits_t)
    student, teacher = (
        (at_least_float32(logits) / temperature).log_softmax(dim=1)
        for logits in (logits_s, logits_t.detach())
    )
    total = kl_div(student, teacher, reduction="sum", log_target=True)
    return temperature**2 * total / normalizer(total.new_tensor(float(len(logits_s))), 1.0)


def roi_box_loss(boxes_s: Tensor, boxes_t: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of 1 − GIoU of the student's and the teacher's boxes.

    Args:
        boxes_s: Student's boxes [R, 4].
        boxes_t: Teacher's boxes [R, 4]; a constant.
        weight: Weight of each proposal [R], not negative; a constant.

    Returns:
        A scalar in [0, 2]; 0 where all weights are 0.

    Raises:
        ValueError: if the shapes are not as above.
    """
    if boxes_s.shape != boxes_t.shape or weight.shape != boxes_s.shape[:1]:
        raise ValueError(
            f"boxes_s {list(boxes_s.shape)} and boxes_t {list(boxes_t.shape)} must have one shape "
            f"[R, 4], and weight {list(weight.shape)} be [R]."
        )
    weight = weight.detach()
    giou = bbox_overlaps(boxes_s, boxes_t.detach(), mode="giou", is_aligned=True, eps=EPS)
    return (weight * (1 - giou)).sum() / normalizer(weight.sum(), EPS)


@MODELS.register_module()
class RoIDistillation(DistillationTerm):
    """The student's second stage learns how the teacher classifies and places its proposals.

    For every proposal that the student samples, the teacher's RoI head is run
    on the teacher's features. Of the two losses, the first compares all class
    probabilities, background included; the second the box of the teacher's
    best foreground class, weighted by the teacher's foreground probability.
    Decoded boxes are compared, so the two box coders may differ. A cascaded
    student learns stage by stage, from the same stage of a teacher with as
    many, else from the teacher's result as a whole.

    Args:
        loss_weight: Factor on both losses.
        bbox_weight: Further factor on the loss of the boxes, not negative.
        temperature: Softens both classifications, positive.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"rois"})
    compares_classes = True

    def __init__(
        self, loss_weight: float = 1.0, bbox_weight: float = 1.0, temperature: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        check_not_negative(bbox_weight=bbox_weight)
        check_positive(temperature=temperature)
        self.bbox_weight = bbox_weight
        self.temperature = temperature

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Make sure that both second stages tell apart as many classes."""
        assert student.roi is not None
        assert teacher.roi is not None
        check_class_counts(
            student.roi.type, student.roi.num_classes, teacher.roi.type, teacher.roi.num_classes
        )

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"RoIDistillation(loss_weight={self.loss_weight}, bbox_weight={self.bbox_weight}, "
            f"temperature={self.temperature})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_roi_cls`` and ``loss_roi_bbox``, summed over the student's stages."""
        cls_losses, box_losses = [], []
        for stage_s, stage_t in zip(student.rois or (), teacher.rois or (), strict=True):
            cls_losses.append(
                roi_classification_loss(stage_s.cls_logits, stage_t.cls_logits, self.temperature)
            )
            probability = at_least_float32(stage_t.cls_logits).softmax(dim=1)
            best = probability[:, :-1].argmax(dim=1)
            box_losses.append(
                roi_box_loss(
                    _boxes_of(stage_s, best), _boxes_of(stage_t, best), 1 - probability[:, -1]
                )
            )
        return {
            "loss_roi_cls": self.loss_weight * torch.stack(cls_losses).sum(),
            "loss_roi_bbox": self.loss_weight * self.bbox_weight * torch.stack(box_losses).sum(),
        }


def _boxes_of(stage: RoIPredictions, classes: Tensor) -> Tensor:
    """Boxes [R, 4] of the given class of each proposal."""
    boxes = stage.boxes
    if boxes.shape[1] == 1:
        return boxes[:, 0]
    return boxes[torch.arange(len(boxes), device=boxes.device), classes]
