"""Feature distillation weighted by the teacher's class scores, the form of recent YOLO toolkits."""

from collections.abc import Sequence

from torch import Tensor, nn

from tbd.distill.checks import check_feature_maps, check_location_maps
from tbd.distill.feature_term import FeatureTerm
from tbd.distill.reduction import normalizer
from tbd.distill.score_maps import score_maps
from tbd.distill.view import View
from tbd.harmony import Confidence, check_confidence
from tbd.modules import build_projector
from tbd.precision import at_least_float32
from tbd.registry import MODELS

EPS = 1e-6


def score_weighted_feature_loss(feat_s: Tensor, feat_t: Tensor, score: Tensor) -> Tensor:
    """Squared difference of features, weighted by how sure the teacher is of an object.

    Σ_nij s_nij · Σ_c (F^s_ncij − F^t_ncij)² / (C · Σ_nij s_nij), the last sum being
    its mean over the ranks.

    Args:
        feat_s: Projected student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.
        score: The s, weight of each location [N, H, W], not negative; a constant.

    Returns:
        A scalar, at least 0; 0 where all scores are 0.

    Raises:
        ValueError: if the shapes are not as above.
    """
    check_feature_maps(feat_s, feat_t)
    check_location_maps(feat_t, score=score)
    feat_s, feat_t = at_least_float32(feat_s), at_least_float32(feat_t)
    score = score.detach().to(feat_s.dtype)
    squared = (feat_s - feat_t.detach()).square().mean(dim=1)
    return (score * squared).sum() / normalizer(score.sum(), EPS)


@MODELS.register_module()
class ScoreWeightedFeatureDistillation(FeatureTerm):
    """The student's projected features are to be the teacher's where the teacher sees an object.

    L = Σ_l Σ s·‖P(S) − T‖² / (C·Σ s), with s the teacher's largest class score at
    a location and P = conv1×1(ReLU(conv1×1(S))), one per level: the form that
    YOLO toolkits distill with since 2026. It has no paper. For an RPN the score
    is its objectness, so it suits two-stage detectors too.

    Args:
        loss_weight: Factor on the sum over the levels.
        level_weights: A factor for each pyramid level; None weighs all by 1.
        confidence: Which score: ``"class"``, or ``"ranking"``, in which a centerness,
            IoU or objectness branch takes part; YOLOX and YOLOv3 need it.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"features", "predictions"})

    def __init__(
        self,
        loss_weight: float = 6.0,
        level_weights: Sequence[float] | None = None,
        confidence: Confidence = "class",
    ) -> None:
        super().__init__(loss_weight, level_weights=level_weights)
        self.confidence = check_confidence(confidence)

    def build_level(self, channels_s: int, channels_t: int) -> nn.Module:
        """Build the projector of one level."""
        return build_projector(channels_s, channels_t)

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"ScoreWeightedFeatureDistillation(loss_weight={self.loss_weight}, "
            f"level_weights={self.level_weights}, confidence={self.confidence})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_feature``."""
        losses = [
            score_weighted_feature_loss(feat_s, feat_t, score)
            for (feat_s, feat_t), score in zip(
                self.pairs(student, teacher),
                score_maps(teacher, self.confidence),
                strict=True,
            )
        ]
        return {"loss_feature": self.total(losses)}
