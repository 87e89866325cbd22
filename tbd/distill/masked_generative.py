"""Masked generative distillation (MGD) of features."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tbd.distill.checks import check_feature_maps
from tbd.distill.feature_term import FeatureTerm
from tbd.distill.randomness import StepRandomness
from tbd.distill.spec import DetectorSpec
from tbd.distill.view import View
from tbd.modules import AdaptationKind, build_generation
from tbd.precision import at_least_float32
from tbd.registry import MODELS


def masked_generative_loss(generated: Tensor, feat_t: Tensor) -> Tensor:
    """Squared difference of generated features from the teacher's, a sum for each image.

    The mean over the N images of Σ_k Σ_i Σ_j (T_kij − G_kij)²; Yang et al.,
    "MGD" (arXiv 2205.01529), eq. 5. It grows with the size of the map; the
    method's small weights belong to this sum, not to a mean.

    Args:
        generated: Features generated from the student's masked ones [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.

    Returns:
        A scalar, at least 0, without any weight.

    Raises:
        ValueError: if the shapes differ.
    """
    check_feature_maps(generated, feat_t)
    difference = at_least_float32(generated) - at_least_float32(feat_t.detach())
    return difference.square().sum() / len(feat_t)


@MODELS.register_module()
class MaskedGenerativeDistillation(FeatureTerm):
    """The teacher's features are generated from the student's, some locations of which are hidden.

    MGD (Yang et al., ECCV 2022, arXiv 2205.01529): M hides a location, in all
    channels, with probability λ (eq. 2); G(φ(S)·M) is to be T (eq. 3), with φ
    the adaptation and G(F) = conv3×3(ReLU(conv3×3(F))) (eq. 4). It reads
    neither head nor ground truth. In eval mode nothing is hidden.

    The mask is drawn anew for every step, image and level from the run's seed
    and the iteration, see :class:`~tbd.distill.randomness.StepRandomness`. Since
    every rank draws its own, R ranks of b images learn as one of R·b does in
    expectation only, or exactly with ``mask_ratio=0``.

    Args:
        loss_weight: The α: the paper's 2e-5 for one-stage detectors; 5e-7 for
            those of two stages.
        mask_ratio: The λ: probability that a location is hidden, in [0, 1);
            0.65 for one-stage detectors, 0.45 for those of two stages.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`.
        level_weights: A factor for each pyramid level; None weighs all by 1.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"features"})

    def __init__(
        self,
        loss_weight: float = 2e-5,
        mask_ratio: float = 0.65,
        adaptation: AdaptationKind = "auto",
        level_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(loss_weight, adaptation, level_weights)
        if not 0 <= mask_ratio < 1:
            raise ValueError(f"mask_ratio={mask_ratio} must be in [0, 1).")
        self.mask_ratio = mask_ratio
        self.generations = nn.ModuleList()
        self._randomness = StepRandomness()

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create an adaptation layer and a generation block per pyramid level."""
        super().connect(student, teacher)
        self.generations = nn.ModuleList(build_generation(width) for width in teacher.channels)

    def settings(self) -> dict[str, Any]:
        """Settings to show in the start-up report."""
        return {"mask_ratio": self.mask_ratio}

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_feature``."""
        pairs = self.pairs(student, teacher)
        generator = self._randomness.generator() if self.training else None
        losses = []
        for generation, (feat_s, feat_t) in zip(self.generations, pairs, strict=True):
            if generator is not None:
                feat_s = feat_s * self._mask(feat_s, generator)
            losses.append(masked_generative_loss(generation(feat_s), feat_t))
        return {"loss_feature": self.total(losses)}

    def _mask(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """1 where a location is seen and 0 where it is hidden, [N, 1, H, W]."""
        batch, _, height, width = features.shape
        # Drawn on the CPU, so that the mask does not depend on the device.
        drawn = torch.rand(batch, 1, height, width, generator=generator)
        return (drawn >= self.mask_ratio).to(features)
