"""Feature distillation by correlation (PKD), which asks nothing of the heads."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from tbd.distill.checks import check_feature_maps
from tbd.distill.feature_term import FeatureTerm
from tbd.distill.reduction import normalizer, sum_over_ranks
from tbd.distill.view import View
from tbd.modules import AdaptationKind
from tbd.precision import at_least_float32
from tbd.registry import MODELS

EPS = 1e-6


def pearson_feature_loss(feat_s: Tensor, feat_t: Tensor, sync_statistics: bool = False) -> Tensor:
    """Half the mean squared difference of features standardised channel by channel.

    Each channel is brought to mean 0 and deviation 1 over the batch and all
    locations, so magnitudes, which differ between architectures, do not count.
    With the unbiased deviation of n = N·H·W values it is, but for a small
    constant, (n − 1) / n times the mean over channels of 1 − Pearson's
    correlation; Cao et al., "PKD" (arXiv 2207.02039), eq. 3 and 4. A level of
    a single value per channel has no deviation and costs nothing.

    Args:
        feat_s: Adapted student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.
        sync_statistics: Take means and deviations over the batch of every
            rank, not of this one alone.

    Returns:
        A scalar in [0, 2].

    Raises:
        ValueError: if the shapes differ.
    """
    check_feature_maps(feat_s, feat_t)
    feat_s, feat_t = at_least_float32(feat_s), at_least_float32(feat_t)
    count = feat_s.new_tensor(float(feat_s[:, 0].numel()))
    total = sum_over_ranks(count) if sync_statistics else count
    standardised = [
        _standardised(features, total, sync_statistics) for features in (feat_s, feat_t.detach())
    ]
    squared = (standardised[0] - standardised[1]).square().sum()
    divisor = normalizer(count, 1.0) if sync_statistics else count
    return squared / (2 * feat_s.shape[1] * divisor)


def _standardised(features: Tensor, count: Tensor, sync: bool) -> Tensor:
    def total(values: Tensor) -> Tensor:
        summed = values.sum(dim=(0, 2, 3), keepdim=True)
        return sum_over_ranks(summed) if sync else summed

    centred = features - total(features) / count
    variance = total(centred.square()) / (count - 1).clamp(min=1)
    # Inside the root, so that a channel that is the same everywhere has a finite gradient.
    return centred / (variance + EPS**2).sqrt()


@MODELS.register_module()
class PearsonFeatureDistillation(FeatureTerm):
    """The student's features are to correlate with the teacher's, level by level.

    PKD (Cao et al., NeurIPS 2022, arXiv 2207.02039). It reads neither head nor
    ground truth, so it distills any pair whose pyramids can be paired, DETR and
    its kin included. Means and deviations are those of the images of one rank,
    as in the public code, unless ``sync_statistics`` is set.

    Args:
        loss_weight: Factor on the sum over the levels. The public code takes 6,
            and 10 for RetinaNet X101 to R50.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`.
        level_weights: A factor for each pyramid level; None weighs all by 1.
        sync_statistics: Take the statistics over the images of every rank, so
            that R ranks of b images learn as one of R·b does. It costs four
            small all-reduces per level.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"features"})

    def __init__(
        self,
        loss_weight: float = 6.0,
        adaptation: AdaptationKind = "auto",
        level_weights: Sequence[float] | None = None,
        sync_statistics: bool = False,
    ) -> None:
        super().__init__(loss_weight, adaptation, level_weights)
        self.sync_statistics = sync_statistics

    def settings(self) -> dict[str, Any]:
        """Settings to show in the start-up report."""
        return {"sync_statistics": self.sync_statistics}

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_feature``."""
        losses = [
            pearson_feature_loss(feat_s, feat_t, self.sync_statistics)
            for feat_s, feat_t in self.pairs(student, teacher)
        ]
        return {"loss_feature": self.total(losses)}
