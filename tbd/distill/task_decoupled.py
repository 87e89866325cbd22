"""Task-decoupled feature distillation (TFD)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tbd.distill.harmony_maps import harmony_maps
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.harmony import Confidence, HarmonyScoreHead, Norm
from tbd.modules import AdaptationKind, TaskWeightGenerator, build_adaptation
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
    batch, _, height, width = feat_t.shape
    if feat_s.shape != feat_t.shape:
        raise ValueError(
            f"feat_s {list(feat_s.shape)} and feat_t {list(feat_t.shape)} must have one shape."
        )
    if not cls_mask.shape == loc_mask.shape == (batch, height, width):
        raise ValueError(
            f"cls_mask {list(cls_mask.shape)} and loc_mask {list(loc_mask.shape)} must be "
            f"{[batch, height, width]} as the features are."
        )
    if task_weights.shape != (batch, 2):
        raise ValueError(f"task_weights must be [{batch}, 2], not {list(task_weights.shape)}.")
    difference = (feat_t.detach() - feat_s).square().mean(dim=1)
    losses = []
    for mask, weight in zip((cls_mask, loc_mask), task_weights.unbind(dim=1), strict=True):
        mask = mask.detach()
        per_image = (mask * difference).sum(dim=(1, 2))
        losses.append((weight * per_image).sum() / normalizer(mask.sum(), EPS))
    return losses[0], losses[1]


@MODELS.register_module()
class TaskDecoupledFeatureDistillation(DistillationTerm):
    """The student imitates the teacher's features where either task is done well.

    L_TFD = Σ_l (L_c + L_r), with masks M_c = max_a p_cls^t and
    M_r = max_a p_loc^t, and the two tasks balanced by a
    :class:`~tbd.TaskWeightGenerator` that all levels share; Tang et al.
    (arXiv 2208.03006).

    Args:
        loss_weight: The beta of the total loss.
        norm: How logits become a classification probability.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`.
        task_weights: Fixed weights (classification, localization) in place of
            the generated ones, not negative.
        hidden_channels: Hidden width of the task weight generator.
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
    ) -> None:
        super().__init__(loss_weight)
        self.harmony_head = HarmonyScoreHead(norm, confidence)
        self.adaptation = adaptation
        self.adaptations = nn.ModuleList()
        self.fixed_weights: tuple[float, float] | None = None
        self.weight_generator: TaskWeightGenerator | None = None
        if task_weights is None:
            self.weight_generator = TaskWeightGenerator(hidden_channels)
        else:
            if len(task_weights) != 2 or min(task_weights) < 0:
                raise ValueError(
                    f"task_weights={tuple(task_weights)} must be two numbers >= 0: "
                    "(classification, localization)."
                )
            self.fixed_weights = (float(task_weights[0]), float(task_weights[1]))

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create one adaptation layer per pyramid level."""
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
            f"task_weights={self.fixed_weights or 'generated'})"
        )

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_cls_feature``, ``loss_loc_feature`` and each level's mean weights."""
        maps_s = harmony_maps(student, self.harmony_head)
        maps_t = harmony_maps(teacher, self.harmony_head)
        cls_losses, loc_losses, logged = [], [], {}
        for level, adapt in enumerate(self.adaptations):
            # Classification and localization map of the teacher, then of the student.
            maps = torch.stack(
                [
                    probability[level].detach().amax(dim=1)
                    for probability in (maps_t.p_cls, maps_t.p_loc, maps_s.p_cls, maps_s.p_loc)
                ],
                dim=1,
            )
            weights = self._task_weights(maps)
            cls_loss, loc_loss = task_decoupled_feature_loss(
                adapt(at_least_float32(student.features[level])),
                at_least_float32(teacher.features[level]),
                cls_mask=maps[:, 0],
                loc_mask=maps[:, 1],
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

    def _task_weights(self, maps: Tensor) -> Tensor:
        if self.weight_generator is not None:
            return self.weight_generator(maps)
        return maps.new_tensor(self.fixed_weights).expand(len(maps), 2)
