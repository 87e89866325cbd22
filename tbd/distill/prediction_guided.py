"""Prediction-guided distillation (PGD) of head features."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tbd.checks import check_at_least_one, check_fraction, check_not_negative, check_positive
from tbd.distill.attention import local_channel_attention, spatial_attention
from tbd.distill.checks import check_feature_maps, check_location_maps
from tbd.distill.correspondence import check_classes, heads_of
from tbd.distill.key_regions import key_regions
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec, TowerSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.modules import AdaptationKind, build_adaptation
from tbd.precision import at_least_float32
from tbd.registry import MODELS


def guided_classification_loss(
    feat_s: Tensor, feat_t: Tensor, foreground: Tensor, background: Tensor, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Differences of the class tower's features in key regions, on the background, in attention.

    The first two are the mean over the images of
    Σ_ij W_ij / n · A_ij · Σ_k A_kij · (F^t_kij − F^s_kij)², n being the number of
    locations whose weight is not 0, A_ij the teacher's attention to locations
    and A_kij that to channels at each location. The third is the mean absolute
    difference of the attention maps, over images and, of the second, locations.
    Yang et al., "PGD" (arXiv 2203.05469), without its α, β and δ.

    Args:
        feat_s: Adapted student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.
        foreground: Weight of each location of a key region [N, H, W]; a constant.
        background: Weight of each location outside of objects [N, H, W]; a constant.
        temperature: The T of the attention, positive.

    Returns:
        The three losses, scalars, at least 0.

    Raises:
        ValueError: if the shapes are not as above.
    """
    check_feature_maps(feat_s, feat_t)
    check_location_maps(feat_t, foreground=foreground, background=background)
    feat_s, feat_t = at_least_float32(feat_s), at_least_float32(feat_t).detach()
    spatial, channels = (
        attention(feat_t, temperature) for attention in (spatial_attention, local_channel_attention)
    )
    difference = spatial * (channels * (feat_t - feat_s).square()).sum(dim=1)
    losses = []
    for mask in (foreground, background):
        mask = at_least_float32(mask.detach())
        count = (mask != 0).sum(dim=(1, 2), keepdim=True).clamp(min=1)
        losses.append((mask / count * difference).sum() / len(feat_s))
    apart = (local_channel_attention(feat_s, temperature) - channels).abs().sum(dim=1).mean()
    apart = apart + (spatial_attention(feat_s, temperature) - spatial).abs().sum() / len(feat_s)
    return losses[0], losses[1], apart


def guided_box_loss(
    feat_s: Tensor, feat_t: Tensor, foreground: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Differences of the box tower's features and of their attention in key regions.

    Means over the P locations of the batch whose weight is not 0, of
    W_ij · mean_k A_kij · (F^t_kij − F^s_kij)² and of Σ_k |A^t_kij − A^s_kij|, A being
    the attention to channels at each location; Yang et al., "PGD" (arXiv
    2203.05469), without its γ and δ. P is its mean over the ranks, at least 1.

    Args:
        feat_s: Adapted student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.
        foreground: Weight of each location of a key region [N, H, W]; a constant.
        temperature: The T of the attention, positive.

    Returns:
        The two losses, scalars, at least 0.

    Raises:
        ValueError: if the shapes are not as above.
    """
    check_feature_maps(feat_s, feat_t)
    check_location_maps(feat_t, foreground=foreground)
    feat_s, feat_t = at_least_float32(feat_s), at_least_float32(feat_t).detach()
    foreground = at_least_float32(foreground.detach())
    channels_s, channels_t = (
        local_channel_attention(features, temperature) for features in (feat_s, feat_t)
    )
    chosen = (foreground != 0).to(feat_s.dtype)
    count = normalizer(chosen.sum(), 1.0)
    difference = (channels_t * (feat_t - feat_s).square()).mean(dim=1)
    apart = (channels_s - channels_t).abs().sum(dim=1)
    return (foreground * difference).sum() / count, (chosen * apart).sum() / count


@MODELS.register_module()
class PredictionGuidedDistillation(DistillationTerm):
    """Head features are the teacher's where its best predictions of each object come from.

    PGD (Yang et al., ECCV 2022, arXiv 2203.05469). For each object, the K
    locations of the teacher's best predictions, by the quality
    p^(1−ξ) · IoU^ξ, are weighed by a Gaussian fitted to their positions
    (:func:`~tbd.distill.key_regions.region_weights`), with one ξ for each task.
    What is compared are the outputs of a convolution of the class tower and of
    the box tower, by :func:`guided_classification_loss` and
    :func:`guided_box_loss`; the L of the level is
    l·(α·fg + β·bg) + δ·at for classes, l being 1 for the first level and a
    quarter more for each one after it, and γ·fg + δ·at for boxes.

    As in the public code, locations outside of an object take part in its fit,
    though they get no weight. Unlike there, every image is weighed by its own
    regions: the public code, by its broadcasting, applies those of each image
    of the batch to all of them in the class tower, so that with two images its
    α and β act about twice as strongly. In place of its random jitter of
    positions, the variance of that is added. With several anchors per location
    the best of them counts.

    Args:
        loss_weight: Factor on all parts.
        cls_weight: The α, not negative: 0.04 for GFL and FCOS, 0.08 for ATSS.
        background_weight: The β, not negative: half of α.
        box_weight: The γ, not negative: 1.6 times α.
        attention_weight: The δ, not negative.
        temperature: The T of the attention, positive.
        top_k: The K, at least 1: 30 for GFL and FCOS, 9 for ATSS.
        cls_exponent: The ξ for the class tower, in [0, 1].
        box_exponent: The ξ for the box tower, in [0, 1].
        depth: Which convolution of the towers, counted from 1.
        adaptation: Layer from the student's to the teacher's channels, one per
            tower, see :func:`~tbd.modules.build_adaptation`.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"predictions", "head_features"})
    # The teacher's score of an object is looked up by the number of its class.
    compares_classes = True

    def __init__(
        self,
        loss_weight: float = 1.0,
        cls_weight: float = 0.04,
        background_weight: float = 0.02,
        box_weight: float = 0.064,
        attention_weight: float = 8e-4,
        temperature: float = 0.8,
        top_k: int = 30,
        cls_exponent: float = 0.8,
        box_exponent: float = 0.6,
        depth: int = 1,
        adaptation: AdaptationKind = "auto",
    ) -> None:
        super().__init__(loss_weight)
        check_not_negative(
            cls_weight=cls_weight,
            background_weight=background_weight,
            box_weight=box_weight,
            attention_weight=attention_weight,
        )
        check_positive(temperature=temperature)
        check_fraction(cls_exponent=cls_exponent, box_exponent=box_exponent)
        check_at_least_one(top_k=top_k, depth=depth)
        self.cls_weight = cls_weight
        self.background_weight = background_weight
        self.box_weight = box_weight
        self.attention_weight = attention_weight
        self.temperature = temperature
        self.top_k = top_k
        self.cls_exponent = cls_exponent
        self.box_exponent = box_exponent
        self.depth = depth
        self.adaptation = adaptation
        self._teacher: DetectorSpec | None = None

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create one adaptation layer for each tower.

        Raises:
            ValueError: if the towers are too short, or the heads tell apart
                different classes or are on levels of different strides.
        """
        check_classes(student, teacher)
        if student.strides != teacher.strides:
            raise ValueError(
                f"head features are compared location by location, but the paired pyramid levels "
                f"have strides {list(student.strides)} in the student and "
                f"{list(teacher.strides)} in the teacher (vertical, horizontal); pair levels of "
                "equal stride by model.level_map, or take a term on features, such as "
                "tbd.FocalGlobalDistillation."
            )
        channels = [
            _channels(head.towers, self.depth, spec.role)
            for head, spec in zip(heads_of(student, teacher), (student, teacher), strict=True)
        ]
        self.cls_adaptation, self.box_adaptation = (
            build_adaptation(self.adaptation, *pair) for pair in zip(*channels, strict=True)
        )
        self._teacher = teacher

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"PredictionGuidedDistillation(loss_weight={self.loss_weight}, "
            f"cls_weight={self.cls_weight}, background_weight={self.background_weight}, "
            f"box_weight={self.box_weight}, attention_weight={self.attention_weight}, "
            f"temperature={self.temperature}, top_k={self.top_k}, depth={self.depth})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_cls``, ``loss_background``, ``loss_box`` and ``loss_attention``."""
        assert self._teacher is not None
        assert student.head_features is not None
        assert teacher.head_features is not None
        cls_regions, box_regions = (
            key_regions(teacher, self._teacher, exponent, self.top_k)
            for exponent in (self.cls_exponent, self.box_exponent)
        )
        parts: dict[str, list[Tensor]] = {
            part: [] for part in ("cls", "background", "box", "attention")
        }
        convolution = self.depth - 1
        cls_pairs = _pairs(
            self.cls_adaptation,
            student.head_features.cls[convolution],
            teacher.head_features.cls[convolution],
        )
        box_pairs = _pairs(
            self.box_adaptation,
            student.head_features.reg[convolution],
            teacher.head_features.reg[convolution],
        )
        for level, (cls_pair, box_pair) in enumerate(zip(cls_pairs, box_pairs, strict=True)):
            foreground, background, cls_apart = guided_classification_loss(
                *cls_pair,
                cls_regions.weights[level],
                cls_regions.background[level],
                self.temperature,
            )
            box, box_apart = guided_box_loss(
                *box_pair, box_regions.weights[level], self.temperature
            )
            level_weight = 1 + level / 4
            parts["cls"].append(level_weight * self.cls_weight * foreground)
            parts["background"].append(level_weight * self.background_weight * background)
            parts["box"].append(self.box_weight * box)
            parts["attention"].append(self.attention_weight * (cls_apart + box_apart))
        return {
            f"loss_{part}": self.loss_weight * torch.stack(losses).sum()
            for part, losses in parts.items()
        }


def _pairs(
    adapt: torch.nn.Module, student: Sequence[Tensor], teacher: Sequence[Tensor]
) -> list[tuple[Tensor, Tensor]]:
    return [
        (adapt(at_least_float32(feat_s)), at_least_float32(feat_t).detach())
        for feat_s, feat_t in zip(student, teacher, strict=True)
    ]


def _channels(towers: TowerSpec | None, depth: int, role: str) -> tuple[int, int]:
    """Channels after a convolution of the class tower and of the box tower."""
    assert towers is not None
    shortest = min(len(towers.cls_channels), len(towers.reg_channels))
    if depth > shortest:
        raise ValueError(
            f"depth={depth}, but the towers of the {role}'s head have {shortest} convolutions; "
            f"set depth to at most {shortest}."
        )
    return towers.cls_channels[depth - 1], towers.reg_channels[depth - 1]
