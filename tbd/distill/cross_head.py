"""Cross-head distillation (CrossKD)."""

from typing import Literal

import torch
from torch import Tensor, nn

from tbd.checks import check_choice, check_not_negative, check_positive
from tbd.distill.checks import check_feature_maps
from tbd.distill.correspondence import heads_of
from tbd.distill.object_regions import object_regions
from tbd.distill.prediction_losses import (
    box_overlap_loss,
    quality_focal_distillation_loss,
    softmax_divergence,
)
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec, HeadSpec, TowerSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.modules import AdaptationKind, build_adaptation
from tbd.precision import at_least_float32
from tbd.predictions import DensePredictions, binary_class_rows, regression_rows
from tbd.registry import MODELS

EPS = 1e-6

BoxWeighting = Literal["score", "uniform"]
"""How much the box of a prediction counts: by the teacher's class score, or all alike."""

BoxComparison = Literal["giou", "log_iou"]
"""How two boxes are compared: 1 − generalized IoU, or −log of the IoU."""


def aligned_statistics(feat_s: Tensor, feat_t: Tensor) -> Tensor:
    """Bring each channel of the student's features to the teacher's mean and deviation.

    (s − μ_s) / (σ_s + 1e-6)·σ_t + μ_t, with means and unbiased deviations over the
    n = N·H·W values of a channel; the gradient flows through those of the student
    too. Where n = 1 there is no deviation: the result is the teacher's value, and
    nothing is left to learn. A channel of the student that is the same everywhere
    becomes the teacher's mean, with a gradient of up to σ_t·1e6.

    Args:
        feat_s: Adapted student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.

    Returns:
        The student's features with the teacher's statistics [N, C, H, W].

    Raises:
        ValueError: if the shapes differ or are not [N, C, H, W].
    """
    check_feature_maps(feat_s, feat_t)
    feat_s, feat_t = at_least_float32(feat_s), at_least_float32(feat_t.detach())
    mean_s, deviation_s = _statistics(feat_s)
    mean_t, deviation_t = _statistics(feat_t)
    return (feat_s - mean_s) / (deviation_s + EPS) * deviation_t + mean_t


def _statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    over = (0, 2, 3)
    mean = features.mean(dim=over, keepdim=True)
    if features[:, 0].numel() == 1:
        return mean, torch.zeros_like(mean)
    return mean, features.std(dim=over, keepdim=True)


@MODELS.register_module()
class CrossHeadDistillation(DistillationTerm):
    """The teacher's head, run on the student's head features, is to predict what it predicts.

    CrossKD (Wang et al., CVPR 2024, arXiv 2306.11369). f_i is what the i-th
    convolution of a tower gives. The student's f_i goes through the rest of the
    teacher's head, from convolution i + 1 on, which is frozen but passes the
    gradient; the resulting cross-head predictions are compared with the
    teacher's own (eq. 3), so that the student's own predictions learn from the
    ground truth alone:

    * classes: BCE(σ(p), σ(t))·|σ(p) − σ(t)|^β, summed over predictions and
      divided by the number of locations that stand for an object (counted by
      ATSS on the ground truth; at least 1), as the detectors' own losses are;
    * boxes: the KL of their sides' distributions for heads that have them (a sum
      over the bins, the mean over the sides), else 1 − GIoU. The paper lets all
      locations count alike (``box_weighting="uniform"``); by default each box is
      weighted by the teacher's largest class score, as in the authors' code, for
      what a teacher regresses on the background is arbitrary. Divided by the sum
      of the weights, as in that code for distributions; it divides GIoU by the
      number of the student's positives.

    For FCOS that code has −log of the IoU (``box_overlap="log_iou"``), and for
    ATSS a cross-entropy of the centerness beside these two, which is left out here;
    for RetinaNet it leaves out the classes of anchors that its assignment ignores.

    The paper's f_i is what a convolution gives after its activation. The authors'
    code (``align_statistics=True``) takes it before the activation, after the norm
    if there is one, and brings the student's to the teacher's statistics, see
    :func:`aligned_statistics`; the teacher's activation and the rest of its head
    follow. What is left to learn is where a channel is strong, not how strong it
    is. The statistics are those of one level and of the images of one rank, so R
    ranks of b images do not learn just as one of R·b does.

    Both sides are predictions of one head, so classes, anchors and boxes
    correspond whatever the student's head predicts; what the two heads must
    share is the depth of their towers.

    Args:
        loss_weight: Factor on both losses.
        cls_weight: Further factor on the loss of the classes; the paper has 0.4
            for FCOS. Not negative.
        bbox_weight: Likewise on the loss of the boxes; None takes the paper's
            4 for distributions and 1 for GIoU (which has 0.75 for FCOS).
        depth: The i, at least 1; None takes the last convolution but one, the
            paper's 3 of 4 (which has 2 for FCOS).
        beta: The β, not negative.
        temperature: Softens the distributions, positive.
        box_weighting: See above.
        adaptation: Layer from the student's to the teacher's channels, one per
            tower, see :func:`~tbd.modules.build_adaptation`.
        box_overlap: Boxes are compared by 1 − GIoU or by −log of the IoU, see above.
            Without effect on distributions.
        align_statistics: See above. The convolution must be a ConvModule of MMCV
            that ends with its activation, on both sides.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"head_features", "head", "predictions"})

    def __init__(
        self,
        loss_weight: float = 1.0,
        cls_weight: float = 1.0,
        bbox_weight: float | None = None,
        depth: int | None = None,
        beta: float = 1.0,
        temperature: float = 1.0,
        box_weighting: BoxWeighting = "score",
        adaptation: AdaptationKind = "auto",
        box_overlap: BoxComparison = "giou",
        align_statistics: bool = False,
    ) -> None:
        super().__init__(loss_weight)
        check_not_negative(cls_weight=cls_weight, beta=beta)
        check_positive(temperature=temperature)
        if bbox_weight is not None:
            check_not_negative(bbox_weight=bbox_weight)
        if depth is not None and depth < 1:
            raise ValueError(f"depth={depth} must be at least 1, the first convolution.")
        check_choice(BoxWeighting, box_weighting=box_weighting)
        check_choice(BoxComparison, box_overlap=box_overlap)
        self.cls_weight = cls_weight
        self.bbox_weight = bbox_weight
        self.depth = depth
        self.beta = beta
        self.temperature = temperature
        self.box_weighting = box_weighting
        self.box_overlap: BoxComparison = box_overlap
        self.align_statistics = align_statistics
        self.adaptation = adaptation
        self.adaptations = nn.ModuleDict()
        self._teacher: DetectorSpec | None = None

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Settle the depth, and create an adaptation layer for each tower."""
        head_s, head_t = heads_of(student, teacher)
        towers_s, towers_t = _towers(head_s), _towers(head_t)
        depths = [(len(t.cls_channels), len(t.reg_channels)) for t in (towers_s, towers_t)]
        if depths[0] != depths[1]:
            raise ValueError(
                f"the towers of the student's {head_s.type} have {depths[0][0]} (classes) and "
                f"{depths[0][1]} (boxes) convolutions, those of the teacher's {head_t.type} "
                f"{depths[1][0]} and {depths[1][1]}, so what a convolution gives means something "
                "else on either side. Set stacked_convs of the bbox_head in student_options to "
                "the teacher's, or compare features (tbd.PearsonFeatureDistillation) or "
                "predictions (tbd.BinaryClassificationDistillation)."
            )
        if self.depth is None:
            self.depth = max(min(depths[0]) - 1, 1)
        if self.depth > min(depths[0]):
            raise ValueError(
                f"depth={self.depth}, but the towers have {depths[0][0]} (classes) and "
                f"{depths[0][1]} (boxes) convolutions; set depth to at most {min(depths[0])}."
            )
        if self.align_statistics:
            for role, head in (("student", head_s), ("teacher", head_t)):
                _check_preactivation(role, head, self.depth)
            self.preactivations = frozenset({self.depth})
        if student.strides != teacher.strides:
            raise ValueError(
                f"the paired pyramid levels have strides {list(student.strides)} in the student "
                f"and {list(teacher.strides)} in the teacher (vertical, horizontal), and "
                "model.resize does not reach into heads; pair levels of equal stride by "
                "model.level_map."
            )
        if self.bbox_weight is None:
            self.bbox_weight = 4.0 if head_t.bins else 1.0
        for task in ("cls", "reg"):
            channels = [
                getattr(t, f"{task}_channels")[self.depth - 1] for t in (towers_s, towers_t)
            ]
            self.adaptations[task] = build_adaptation(self.adaptation, *channels)
        self._teacher = teacher

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"CrossHeadDistillation(loss_weight={self.loss_weight}, cls_weight={self.cls_weight}, "
            f"bbox_weight={self.bbox_weight}, depth={self.depth}, beta={self.beta}, "
            f"temperature={self.temperature}, box_weighting={self.box_weighting}, "
            f"box_overlap={self.box_overlap}, align_statistics={self.align_statistics}, "
            f"adaptation={self.adaptation})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_cls`` and ``loss_bbox``."""
        assert teacher.head is not None
        assert teacher.predictions is not None
        assert self._teacher is not None
        assert self.depth is not None
        cls, reg = self._tower_features(student, teacher)
        crossed = teacher.head.predict_from(self.depth, cls, reg, self.align_statistics)
        own = teacher.predictions
        cls_losses, box_losses, weights = [], [], []
        for level in range(len(own.cls_logits)):
            logits, logits_t = (binary_class_rows(side, level) for side in (crossed, own))
            cls_losses.append(quality_focal_distillation_loss(logits, logits_t, self.beta).sum())
            weight = logits_t.detach().amax(dim=2).sigmoid()
            if self.box_weighting == "uniform":
                weight = torch.ones_like(weight)
            weights.append(weight.sum())
            box_losses.append((weight.flatten() * self._box_loss(crossed, own, level)).sum())
        positives = normalizer(object_regions(teacher, self._teacher).count(), 1.0)
        total_weight = normalizer(torch.stack(weights).sum(), EPS)
        cls_loss = torch.stack(cls_losses).sum() / positives
        box_loss = torch.stack(box_losses).sum() / total_weight
        assert self.bbox_weight is not None
        return {
            "loss_cls": self.loss_weight * self.cls_weight * cls_loss,
            "loss_bbox": self.loss_weight * self.bbox_weight * box_loss,
        }

    def _tower_features(self, student: View, teacher: View) -> list[list[Tensor]]:
        """What the rest of the teacher's head is given, in the class and in the box tower."""
        found, found_t = student.head_features, teacher.head_features
        assert found is not None
        assert found_t is not None
        assert self.depth is not None
        towers = found.cls[self.depth - 1], found.reg[self.depth - 1]
        if self.align_statistics:
            towers = found.preactivations[self.depth]
        given = [
            [self.adaptations[task](at_least_float32(level)) for level in tower]
            for task, tower in zip(("cls", "reg"), towers, strict=True)
        ]
        if not self.align_statistics:
            return given
        return [
            [aligned_statistics(*levels) for levels in zip(tower, tower_t, strict=True)]
            for tower, tower_t in zip(given, found_t.preactivations[self.depth], strict=True)
        ]

    def _box_loss(self, crossed: DensePredictions, own: DensePredictions, level: int) -> Tensor:
        """Difference of the boxes of every prediction of a level, one number each."""
        if own.encoding != "bins":
            boxes, boxes_t = (side.boxes[level].flatten(0, 1) for side in (crossed, own))
            return box_overlap_loss(boxes, boxes_t, self.box_overlap)
        sides, sides_t = (
            regression_rows(side, level).unflatten(2, (4, -1)).flatten(0, 2)
            for side in (crossed, own)
        )
        divergence = softmax_divergence(sides, sides_t, self.temperature).sum(dim=1)
        return divergence.view(-1, 4).mean(dim=1)


def _towers(head: HeadSpec) -> TowerSpec:
    assert head.towers is not None
    return head.towers


def _check_preactivation(role: str, head: HeadSpec, depth: int) -> None:
    known = sorted(_towers(head).preactivations)
    if depth not in known:
        others = f"set depth to one of {known}, or " if known else ""
        raise ValueError(
            f"align_statistics=True compares what convolution {depth} of the towers gives before "
            f"its activation, but in the {role}'s {head.type} it is no ConvModule of MMCV that "
            f"ends with one; {others}set align_statistics=False, the paper's form."
        )
