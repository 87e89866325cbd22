"""Distillation by feature richness (FRS): features and class scores where the teacher is sure."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tbd.checks import check_not_negative
from tbd.distill.checks import check_feature_maps, check_location_maps
from tbd.distill.correspondence import check_class_scores, heads_of
from tbd.distill.feature_term import FeatureTerm
from tbd.distill.reduction import normalizer
from tbd.distill.score_maps import score_maps
from tbd.distill.score_weighted import EPS, score_weighted_feature_loss
from tbd.distill.spec import DetectorSpec
from tbd.distill.view import View
from tbd.harmony import Confidence, check_confidence
from tbd.modules import AdaptationKind
from tbd.precision import at_least_float32
from tbd.registry import MODELS


def richness_classification_loss(logits_s: Tensor, logits_t: Tensor, score: Tensor) -> Tensor:
    """Cross-entropy with the teacher's class scores, weighted by the richness of the location.

    Σ_nij s_nij · Σ_k BCE(σ(student_nkij), σ(teacher_nkij)) / Σ_nij s_nij, the last sum
    being its mean over the ranks. Its least value, where both are equal, is the
    entropy of the teacher's scores, not 0.

    Args:
        logits_s: Student's class logits [N, K, H, W] of all anchors of a location.
        logits_t: Teacher's logits [N, K, H, W]; a constant.
        score: The s, weight of each location [N, H, W], not negative; a constant.

    Returns:
        A scalar, at least 0; 0 where all scores are 0.

    Raises:
        ValueError: if the shapes are not as above.
    """
    check_feature_maps(logits_s, logits_t)
    check_location_maps(logits_t, score=score)
    target = at_least_float32(logits_t.detach()).sigmoid()
    entropy = binary_cross_entropy_with_logits(
        at_least_float32(logits_s), target, reduction="none"
    ).sum(dim=1)
    score = score.detach().to(entropy.dtype)
    return (score * entropy).sum() / normalizer(score.sum(), EPS)


@MODELS.register_module()
class FeatureRichnessDistillation(FeatureTerm):
    """Features and class scores are the teacher's where the teacher sees anything, object or not.

    FRS (Du et al., NeurIPS 2021, arXiv 2111.00674): the feature richness score s
    of a location is the teacher's largest class score there, whatever the
    ground truth says. L = w_f · Σ_l Σ s·Σ_c (T − φ(S))² / Σ s, with a sum over the
    channels, and w_c times :func:`richness_classification_loss`; for two-stage
    detectors on the RPN and its objectness.

    Args:
        loss_weight: Factor on both parts.
        feature_weight: The w_f, not negative: the public code's 0.005 for
            RetinaNet; 0.01 FCOS, 0.1 GFL, 0.002 Faster R-CNN.
        cls_weight: The w_c, not negative: 0.02 for RetinaNet; 0.05 FCOS and
            GFL, 0.1 Faster R-CNN. With 0 only features are compared, and the
            two heads may differ.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`. The public code
            has a convolution 3×3 also where channels agree.
        level_weights: A factor for each pyramid level; None weighs all by 1.
        confidence: Which score is the richness: ``"class"``, as in the paper, or
            ``"ranking"``, in which a centerness, IoU or objectness branch takes
            part; YOLOX and YOLOv3 need it.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"features", "predictions"})

    def __init__(
        self,
        loss_weight: float = 1.0,
        feature_weight: float = 0.005,
        cls_weight: float = 0.02,
        adaptation: AdaptationKind = "conv3x3",
        level_weights: Sequence[float] | None = None,
        confidence: Confidence = "class",
    ) -> None:
        super().__init__(loss_weight, adaptation, level_weights)
        self.confidence = check_confidence(confidence)
        check_not_negative(feature_weight=feature_weight, cls_weight=cls_weight)
        self.feature_weight = feature_weight
        self.cls_weight = cls_weight

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create one adaptation layer per level; check that class scores correspond.

        Raises:
            ValueError: if the heads' class scores are compared and do not
                correspond, or are those of a softmax.
        """
        if self.cls_weight > 0:
            self.compares_classes = check_class_scores(student, teacher)
            for head in heads_of(student, teacher):
                if head.background:
                    raise ValueError(
                        f"{head.type} classifies by a softmax with a background class, but "
                        "cls_weight > 0 compares the sigmoid of each class; set cls_weight=0."
                    )
        super().connect(student, teacher)

    def settings(self) -> dict[str, Any]:
        """Settings to show in the start-up report."""
        return {
            "feature_weight": self.feature_weight,
            "cls_weight": self.cls_weight,
            "confidence": self.confidence,
        }

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_feature`` and, unless ``cls_weight`` is 0, ``loss_cls``."""
        scores = score_maps(teacher, self.confidence)
        features = [
            feat_t.shape[1] * score_weighted_feature_loss(feat_s, feat_t, score)
            for (feat_s, feat_t), score in zip(self.pairs(student, teacher), scores, strict=True)
        ]
        losses = {"loss_feature": self.feature_weight * self.total(features)}
        if self.cls_weight > 0:
            assert student.predictions is not None
            assert teacher.predictions is not None
            classes = [
                richness_classification_loss(logits_s, logits_t, score)
                for logits_s, logits_t, score in zip(
                    student.predictions.cls_logits,
                    teacher.predictions.cls_logits,
                    scores,
                    strict=True,
                )
            ]
            losses["loss_cls"] = self.cls_weight * self.total(classes)
        return losses
