"""Channel-wise distillation (CWD) of features."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn.functional import kl_div

from tbd.checks import check_positive
from tbd.distill.checks import check_feature_maps
from tbd.distill.feature_term import FeatureTerm
from tbd.distill.view import View
from tbd.modules import AdaptationKind
from tbd.precision import at_least_float32
from tbd.registry import MODELS


def channel_wise_loss(feat_s: Tensor, feat_t: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's channels from the teacher's, each a distribution over space.

    φ(x)_ci = exp(x_ci / τ) / Σ_j exp(x_cj / τ) turns a channel into a
    distribution over its locations (eq. 3), and
    L = τ²/C · Σ_c Σ_i φ(x^t)_ci · log(φ(x^t)_ci / φ(x^s)_ci) (eq. 4), here the
    mean over the images; Shu et al. (arXiv 2011.13256). A channel of a single
    location is the distribution of a certain event and costs nothing.

    Args:
        feat_s: Adapted student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.
        temperature: The τ, positive; the larger, the more locations count.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: if the shapes differ or the temperature is not positive.
    """
    check_feature_maps(feat_s, feat_t)
    check_positive(temperature=temperature)
    student, teacher = (
        (at_least_float32(features).flatten(2) / temperature).log_softmax(dim=2)
        for features in (feat_s, feat_t.detach())
    )
    divergence = kl_div(student, teacher, reduction="sum", log_target=True)
    return temperature**2 * divergence / (feat_s.shape[0] * feat_s.shape[1])


@MODELS.register_module()
class ChannelWiseDistillation(FeatureTerm):
    """Each channel of the student's features lights up where the teacher's does, level by level.

    CWD (Shu et al., ICCV 2021, arXiv 2011.13256), on the neck's features as in
    the public code for detection. It reads neither head nor ground truth.

    Args:
        loss_weight: Factor on the sum over the levels.
        temperature: The τ that softens both distributions, positive.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`.
        level_weights: A factor for each pyramid level; None weighs all by 1.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"features"})

    def __init__(
        self,
        loss_weight: float = 10.0,
        temperature: float = 1.0,
        adaptation: AdaptationKind = "auto",
        level_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(loss_weight, adaptation, level_weights)
        check_positive(temperature=temperature)
        self.temperature = temperature

    def settings(self) -> dict[str, Any]:
        """Settings to show in the start-up report."""
        return {"temperature": self.temperature}

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_feature``."""
        losses = [
            channel_wise_loss(feat_s, feat_t, self.temperature)
            for feat_s, feat_t in self.pairs(student, teacher)
        ]
        return {"loss_feature": self.total(losses)}
