"""Feature distillation by correlation (PKD), which asks nothing of the heads."""

from torch import Tensor, nn, stack

from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.modules import AdaptationKind, build_adaptation
from tbd.precision import at_least_float32
from tbd.registry import MODELS

EPS = 1e-6


def pearson_feature_loss(feat_s: Tensor, feat_t: Tensor) -> Tensor:
    """Half the mean squared difference of features standardised channel by channel.

    Each channel is brought to mean 0 and variance 1 over the batch and all
    locations, so magnitudes, which differ between architectures, do not count.
    But for a small constant it is the mean over channels of 1 − Pearson's
    correlation; Cao et al., "PKD" (arXiv 2207.02039), eq. 3 and 4.

    Args:
        feat_s: Adapted student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.

    Returns:
        A scalar in [0, 2].

    Raises:
        ValueError: if the shapes differ.
    """
    if feat_s.shape != feat_t.shape:
        raise ValueError(
            f"feat_s {list(feat_s.shape)} and feat_t {list(feat_t.shape)} must have one shape."
        )
    return (_standardised(feat_s) - _standardised(feat_t.detach())).square().mean() / 2


def _standardised(features: Tensor) -> Tensor:
    dims = (0, 2, 3)
    centred = features - features.mean(dim=dims, keepdim=True)
    variance = centred.square().mean(dim=dims, keepdim=True)
    # Inside the root, so that a channel that is the same everywhere has a finite gradient.
    return centred / (variance + EPS**2).sqrt()


@MODELS.register_module()
class PearsonFeatureDistillation(DistillationTerm):
    """The student's features are to correlate with the teacher's, level by level.

    PKD (Cao et al., NeurIPS 2022, arXiv 2207.02039). It reads neither head nor
    ground truth, so it distills any pair whose pyramids can be paired, DETR and
    its kin included.

    Args:
        loss_weight: Factor on the sum over the levels.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`.
    """

    reads = frozenset({"features"})

    def __init__(self, loss_weight: float = 1.0, adaptation: AdaptationKind = "auto") -> None:
        super().__init__(loss_weight)
        self.adaptation = adaptation
        self.adaptations = nn.ModuleList()

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create one adaptation layer per pyramid level."""
        self.adaptations = nn.ModuleList(
            build_adaptation(self.adaptation, channels_s, channels_t)
            for channels_s, channels_t in zip(student.channels, teacher.channels, strict=True)
        )

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"PearsonFeatureDistillation(loss_weight={self.loss_weight}, "
            f"adaptation={self.adaptation})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_feature``."""
        losses = [
            pearson_feature_loss(adapt(at_least_float32(feat_s)), at_least_float32(feat_t))
            for adapt, feat_s, feat_t in zip(
                self.adaptations, student.features, teacher.features, strict=True
            )
        ]
        return {"loss_feature": self.loss_weight * stack(losses).sum()}
