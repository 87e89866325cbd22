"""Task-decoupled feature distillation (TFD)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tbd.checks import check_at_least_one
from tbd.distill.checks import check_feature_maps, check_has_effect, check_location_maps
from tbd.distill.harmony_maps import harmony_maps
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.harmony import Confidence, HarmonyScoreHead, Norm
from tbd.modules import (
    AdaptationKind,
    WeightGenerator,
    build_adaptation,
    build_weight_generator,
    check_weight_generator,
)
from tbd.precision import at_least_float32
from tbd.registry import MODELS

EPS = 1e-6


def task_decoupled_feature_loss(
    feat_s: Tensor, feat_t: Tensor, cls_mask: Tensor, loc_mask: Tensor, task_weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Feature difference of one pyramid level, once under the mask of either task.

    With d the mean over channels of (feat_t − feat_s)²:
    L_c = Σ_n T_n0 Σ_ij M_c·d / max(Σ_nij M_c, 1e-6), and L_r likewise with
    T_n1 and M_r. The normalisers are means over the ranks.

    Args:
        feat_s: Adapted student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.
        cls_mask: M_c, classification mask [N, H, W]; a constant.
        loc_mask: M_r, localization mask [N, H, W]; a constant.
        task_weights: T, weight of classification and localization for each
            image [N, 2].

    Returns:
        L_c and L_r, scalars.

    Raises:
        ValueError: if the shapes are not as above.
    """
    check_feature_maps(feat_s, feat_t)
    check_location_maps(feat_t, cls_mask=cls_mask, loc_mask=loc_mask)
    if task_weights.shape != (len(feat_t), 2):
        raise ValueError(
            f"task_weights must be [{len(feat_t)}, 2], not {list(task_weights.shape)}."
        )
    feat_s, feat_t = at_least_float32(feat_s), at_least_float32(feat_t)
    difference = (feat_t.detach() - feat_s).square().mean(dim=1)
    losses = []
    for mask, weight in zip((cls_mask, loc_mask), task_weights.unbind(dim=1), strict=True):
        mask = at_least_float32(mask.detach())
        per_image = (mask * difference).sum(dim=(1, 2))
        losses.append((weight * per_image).sum() / normalizer(mask.sum(), EPS))
    return losses[0], losses[1]


@MODELS.register_module()
class TaskDecoupledFeatureDistillation(DistillationTerm):
    """The student imitates the teacher's features where either task is done well.

    L_TFD = Σ_l (L_c + L_r), with masks M_c = max_a p_cls^t and
    M_r = max_a p_loc^t, and the two tasks balanced by a
    :class:`~tbd.TaskWeightGenerator` that all levels share; Tang et al.
    (arXiv 2208.03006). A :class:`~tbd.RecurrentTaskWeightGenerator`, which sees
    all levels together, can take its place.

    Args:
        loss_weight: The beta of the total loss.
        norm: How logits become a classification probability.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`.
        task_weights: Fixed weights (classification, localization) in place of
            the generated ones, not negative.
        hidden_channels: Hidden width of the task weight generator that
            ``weight_generator`` names.
        weight_generator: ``"mlp"`` (the paper) or ``"recurrent"``, or the config
            of a module of either kind.
        confidence: Which logits: ``"class"`` or ``"ranking"``, see
            :class:`~tbd.HarmonyScoreHead`.

    Raises:
        ValueError: if an argument is out of its range.
    """

    reads = frozenset({"features", "predictions"})

    def __init__(
        self,
        loss_weight: float = 1.0,
        norm: Norm = "softmax",
        adaptation: AdaptationKind = "auto",
        task_weights: Sequence[float] | None = None,
        hidden_channels: int = 16,
        confidence: Confidence = "class",
        weight_generator: str | Mapping[str, Any] = "mlp",
    ) -> None:
        super().__init__(loss_weight)
        self.harmony_head = HarmonyScoreHead(norm, confidence)
        self.adaptation = adaptation
        self.adaptations = nn.ModuleList()
        check_weight_generator(weight_generator)
        check_at_least_one(hidden_channels=hidden_channels)
        if task_weights is not None:
            check_has_effect(
                f"with task_weights={tuple(task_weights)}",
                weight_generator=(weight_generator, "mlp"),
                hidden_channels=(hidden_channels, 16),
            )
        elif not isinstance(weight_generator, str):
            check_has_effect(
                "with a weight_generator that is a config",
                hidden_channels=(hidden_channels, 16),
            )
        self.fixed_weights = None if task_weights is None else _checked_weights(task_weights)
        self.weight_generator: WeightGenerator | None = None
        self._generator = weight_generator
        self._hidden_channels = hidden_channels

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create the task weight generator, and one adaptation layer per pyramid level."""
        if self.fixed_weights is None:
            self.weight_generator = build_weight_generator(
                self._generator, len(student.channels), self._hidden_channels
            )
            levels = getattr(self.weight_generator, "num_levels", len(student.channels))
            if levels != len(student.channels):
                raise ValueError(
                    f"weight_generator.num_levels={levels}, but {len(student.channels)} pyramid "
                    "levels are compared; set it to that, or leave it out."
                )
        self.adaptations = nn.ModuleList(
            build_adaptation(self.adaptation, channels_s, channels_t)
            for channels_s, channels_t in zip(student.channels, teacher.channels, strict=True)
        )

    def describe(self) -> str:
        """Name the settings."""
        return (
            f"TaskDecoupledFeatureDistillation(loss_weight={self.loss_weight}, "
            f"norm={self.harmony_head.norm}, confidence={self.harmony_head.confidence}, "
            f"adaptation={self.adaptation}, "
            f"task_weights={self.fixed_weights or self._generator})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_cls_feature``, ``loss_loc_feature`` and each level's mean weights."""
        maps_s = harmony_maps(student, self.harmony_head)
        maps_t = harmony_maps(teacher, self.harmony_head)
        # Per level, classification and localization map of the teacher, then of the student.
        maps = [
            torch.stack([level.detach().amax(dim=1) for level in levels], dim=1)
            for levels in zip(maps_t.p_cls, maps_t.p_loc, maps_s.p_cls, maps_s.p_loc, strict=True)
        ]
        all_weights = self._task_weights(maps)
        cls_losses, loc_losses, logged = [], [], {}
        for level, (adapt, weights) in enumerate(zip(self.adaptations, all_weights, strict=True)):
            cls_loss, loc_loss = task_decoupled_feature_loss(
                adapt(at_least_float32(student.features[level])),
                at_least_float32(teacher.features[level]),
                cls_mask=maps[level][:, 0],
                loc_mask=maps[level][:, 1],
                task_weights=weights,
            )
            cls_losses.append(cls_loss)
            loc_losses.append(loc_loss)
            mean_weights = weights.detach().mean(dim=0)
            logged[f"cls_weight_{level}"] = mean_weights[0]
            logged[f"loc_weight_{level}"] = mean_weights[1]
        return {
            "loss_cls_feature": self.loss_weight * torch.stack(cls_losses).sum(),
            "loss_loc_feature": self.loss_weight * torch.stack(loc_losses).sum(),
            **logged,
        }

    def _task_weights(self, maps: Sequence[Tensor]) -> list[Tensor]:
        if self.weight_generator is not None:
            return self.weight_generator.weights(maps)
        return [level.new_tensor(self.fixed_weights).expand(len(level), 2) for level in maps]


def _checked_weights(task_weights: Sequence[float]) -> tuple[float, float]:
    if len(task_weights) != 2 or not all(0 <= weight < math.inf for weight in task_weights):
        raise ValueError(
            f"task_weights={tuple(task_weights)} must be two finite numbers >= 0: "
            "(classification, localization)."
        )
    if not any(task_weights):
        raise ValueError(
            f"task_weights={tuple(task_weights)} must not both be 0: nothing would be "
            "distilled; drop the term instead, distill=dict(NAME=None)."
        )
    return float(task_weights[0]), float(task_weights[1])
