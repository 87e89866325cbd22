"""Focal and global distillation (FGD) of features."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tbd.checks import check_not_negative, check_positive
from tbd.distill.attention import channel_attention, spatial_attention
from tbd.distill.checks import check_feature_maps, check_location_maps
from tbd.distill.feature_term import FeatureTerm
from tbd.distill.gt_masks import ScaledMasks, scaled_masks
from tbd.distill.spec import DetectorSpec
from tbd.distill.view import View
from tbd.modules import AdaptationKind, GlobalContextPair
from tbd.precision import at_least_float32
from tbd.registry import MODELS


def focal_feature_loss(
    feat_s: Tensor, feat_t: Tensor, foreground: Tensor, background: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Squared difference of features where the teacher looks, inside and outside of objects.

    The mean over the images of Σ_kij W_ij · A^S_ij · A^C_k · (F^t_kij − F^s_kij)²,
    with the attention maps A^S over locations and A^C over channels of the
    teacher, and W once the one and once the other weight; Yang et al.,
    "FGD" (arXiv 2111.11837), eq. 8 without its α and β.

    Args:
        feat_s: Adapted student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.
        foreground: Weight of each location inside an object [N, H, W]; a constant.
        background: Weight of each location outside of all [N, H, W]; a constant.
        temperature: The T of the attention, positive.

    Returns:
        The two losses, scalars, at least 0.

    Raises:
        ValueError: if the shapes are not as above.
    """
    check_feature_maps(feat_s, feat_t)
    check_location_maps(feat_t, foreground=foreground, background=background)
    feat_s, feat_t = at_least_float32(feat_s), at_least_float32(feat_t).detach()
    channels = channel_attention(feat_t, temperature)
    difference = torch.einsum("nchw,nc->nhw", (feat_t - feat_s).square(), channels)
    difference = difference * spatial_attention(feat_t, temperature)
    return (
        (foreground.detach() * difference).sum() / len(feat_s),
        (background.detach() * difference).sum() / len(feat_s),
    )


def attention_loss(feat_s: Tensor, feat_t: Tensor, temperature: float) -> Tensor:
    """Absolute difference of the attention maps, of locations and of channels.

    The mean over the images of Σ_ij |A^S_t − A^S_s| + Σ_k |A^C_t − A^C_s|; Yang
    et al., "FGD" (arXiv 2111.11837), eq. 9 without its γ.

    Args:
        feat_s: Adapted student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.
        temperature: The T of the attention, positive.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: if the shapes differ.
    """
    check_feature_maps(feat_s, feat_t)
    feat_s, feat_t = at_least_float32(feat_s), at_least_float32(feat_t)
    differences = [
        (attention(feat_s, temperature) - attention(feat_t.detach(), temperature)).abs().sum()
        for attention in (spatial_attention, channel_attention)
    ]
    return (differences[0] + differences[1]) / len(feat_s)


@MODELS.register_module()
class FocalGlobalDistillation(FeatureTerm):
    """Objects and background apart, with attention; and the relations between distant locations.

    FGD (Yang et al., CVPR 2022, arXiv 2111.11837):
    L = α·L_fg + β·L_bg + γ·L_at + λ·L_global, summed over the levels. The first
    three are :func:`focal_feature_loss` and :func:`attention_loss`, the weight
    of a location being 1 / (cells of its object), or 1 / (cells of the
    background). L_global is the mean over the images of the summed squared
    difference of the features to which a
    :class:`~tbd.modules.global_context.GlobalContextPair` has added their
    context. An image without objects is all background, but for ignored regions.

    The defaults are those for RetinaNet and GFL. FCOS and RepPoints: 1.6e-3,
    8e-4, 8e-4, 8e-6, with a temperature of 0.8 for FCOS; two-stage detectors:
    5e-5, 2.5e-5, 5e-5, 5e-7.

    The paper's objects are as large as their boxes; the public code, which is
    followed, rounds outwards and adds a cell (see
    :func:`~tbd.distill.gt_masks.scaled_mask`).

    Args:
        loss_weight: Factor on all four parts.
        foreground_weight: The α, not negative.
        background_weight: The β, not negative.
        attention_weight: The γ, not negative.
        context_weight: The λ, not negative.
        temperature: The T of the attention, positive.
        stretch_boxes: Place the boxes as the public code does, which overlooks
            the padding of the images; see :func:`~tbd.distill.gt_masks.scaled_mask`.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`.
        level_weights: A factor for each pyramid level; None weighs all by 1.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"features"})

    def __init__(
        self,
        loss_weight: float = 1.0,
        foreground_weight: float = 1e-3,
        background_weight: float = 5e-4,
        attention_weight: float = 5e-4,
        context_weight: float = 5e-6,
        temperature: float = 0.5,
        stretch_boxes: bool = False,
        adaptation: AdaptationKind = "auto",
        level_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(loss_weight, adaptation, level_weights)
        self.weights = {
            "foreground": foreground_weight,
            "background": background_weight,
            "attention": attention_weight,
            "context": context_weight,
        }
        for part, weight in self.weights.items():
            check_not_negative(**{f"{part}_weight": weight})
        check_positive(temperature=temperature)
        self.temperature = temperature
        self.stretch_boxes = stretch_boxes
        self.contexts = nn.ModuleList()

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create an adaptation layer and a pair of global context blocks per pyramid level."""
        super().connect(student, teacher)
        self.contexts = nn.ModuleList(GlobalContextPair(width) for width in teacher.channels)

    def settings(self) -> dict[str, Any]:
        """Settings to show in the start-up report."""
        weights = {f"{part}_weight": weight for part, weight in self.weights.items()}
        return {
            **weights,
            "temperature": self.temperature,
            "stretch_boxes": self.stretch_boxes,
        }

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_foreground``, ``loss_background``, ``loss_attention``, ``loss_context``."""
        masks = scaled_masks(student, self.stretch_boxes)
        pairs = self.pairs(student, teacher)
        levels = [
            self._level(*pair, mask, context)
            for pair, mask, context in zip(pairs, masks, self.contexts, strict=True)
        ]
        return {
            f"loss_{part}": weight * self.total([level[part] for level in levels])
            for part, weight in self.weights.items()
        }

    def _level(
        self, feat_s: Tensor, feat_t: Tensor, mask: ScaledMasks, context: nn.Module
    ) -> dict[str, Tensor]:
        foreground, background = focal_feature_loss(
            feat_s, feat_t, mask.foreground, mask.background, self.temperature
        )
        related_s, related_t = context(feat_s, feat_t)
        return {
            "foreground": foreground,
            "background": background,
            "attention": attention_loss(feat_s, feat_t, self.temperature),
            "context": (related_s - related_t).square().sum() / len(feat_s),
        }
