"""Feature imitation (FitNets), near objects (FGFI), or objects and background apart (DeFeat)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from torch import Tensor

from tbd.checks import check_choice, check_not_negative
from tbd.distill.checks import check_feature_maps, check_has_effect, check_location_maps
from tbd.distill.feature_term import FeatureTerm
from tbd.distill.gt_masks import background_masks, near_object_masks, object_masks
from tbd.distill.reduction import normalizer
from tbd.distill.spec import DetectorSpec
from tbd.distill.view import View
from tbd.modules import AdaptationKind
from tbd.precision import at_least_float32
from tbd.registry import MODELS

Region = Literal["all", "near_objects", "decoupled"]
"""Where features are imitated."""

ChannelReduction = Literal["mean", "sum"]
"""What becomes of the squared differences of a location's channels."""


def imitation_loss(
    feat_s: Tensor, feat_t: Tensor, mask: Tensor, channel_reduction: ChannelReduction = "mean"
) -> Tensor:
    """Half the squared difference of features, the mean over the locations of a mask.

    1/(2·N_p) · Σ_nij I_nij · Σ_c (F^s_ncij − F^t_ncij)² with N_p = Σ_nij I_nij, at
    least 1, its mean over the ranks; Wang et al., "FGFI" (arXiv 1906.03609).

    Args:
        feat_s: Adapted student features [N, C, H, W].
        feat_t: Teacher features [N, C, H, W]; a constant.
        mask: The I, weight of each location [N, H, W]; a constant.
        channel_reduction: ``"sum"`` as above, ``"mean"`` divides it by C.

    Returns:
        A scalar, at least 0; 0 where the mask is empty.

    Raises:
        ValueError: if the shapes are not as above.
    """
    check_feature_maps(feat_s, feat_t)
    check_location_maps(feat_t, mask=mask)
    feat_s, feat_t = at_least_float32(feat_s), at_least_float32(feat_t)
    mask = mask.detach().to(feat_s.dtype)
    squared = (mask * (feat_s - feat_t.detach()).square().sum(dim=1)).sum()
    if channel_reduction == "mean":
        squared = squared / feat_t.shape[1]
    return squared / (2 * normalizer(mask.sum(), 1.0))


@MODELS.register_module()
class FeatureImitation(FeatureTerm):
    """The student's features are to be the teacher's, in a region of the map.

    The loss of a level is :func:`imitation_loss`, and the region one of three.

    ``"all"``: every location; FitNets (Romero et al., ICLR 2015, arXiv 1412.6550).

    ``"near_objects"``: the locations that have an anchor whose IoU with an
    object exceeds ψ times the largest IoU of that object on the level; FGFI
    (Wang et al., CVPR 2019, arXiv 1906.03609), there with the weight 0.01 and
    the sum over channels. The anchors are those of Faster R-CNN on a feature
    pyramid, a side of 8 cells in the ratios 1:2, 1:1 and 2:1, whatever the head.
    The public code adapts by a 3×3 convolution and a ReLU also where the widths
    agree, ``adaptation="conv3x3_relu"``.

    ``"decoupled"``: the cells that objects cover and those of the background
    (without ignored regions), each with a mean and a weight of its own; DeFeat
    (Guo et al., CVPR 2021, arXiv 2103.14475), its part on features. As in the
    paper every object counts on every level; the public code takes but one level
    for each. Its weights, 3 and for the background 12 on the mean of the levels,
    are ``loss_weight=0.6`` and ``background_weight=4`` on the sum of five. Its
    adaptation is ``"conv3x3"``.

    Args:
        loss_weight: Factor on the sum over the levels.
        region: Where features are imitated.
        background_weight: With ``"decoupled"``, further factor on the
            background's loss, not negative.
        near_ratio: With ``"near_objects"``, the ψ, in [0, 1).
        channel_reduction: ``"mean"`` or ``"sum"`` over the channels.
        student_modules: Paths of the student's modules whose outputs are to
            imitate, such as ``["backbone.layer3"]``; a module that is called
            several times counts as so many levels. Without, the neck's levels.
        teacher_modules: Paths of the teacher's modules to be imitated, likewise.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`.
        level_weights: A factor for each level; None weighs all by 1.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        region: Region = "all",
        background_weight: float = 4.0,
        near_ratio: float = 0.5,
        channel_reduction: ChannelReduction = "mean",
        student_modules: Sequence[str] = (),
        teacher_modules: Sequence[str] = (),
        adaptation: AdaptationKind = "auto",
        level_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(loss_weight, adaptation, level_weights)
        check_choice(Region, region=region)
        check_choice(ChannelReduction, channel_reduction=channel_reduction)
        check_not_negative(background_weight=background_weight)
        if not 0 <= near_ratio < 1:
            raise ValueError(f"near_ratio={near_ratio} must be in [0, 1).")
        if region != "decoupled":
            check_has_effect(f"with region={region!r}", background_weight=(background_weight, 4.0))
        if region != "near_objects":
            check_has_effect(f"with region={region!r}", near_ratio=(near_ratio, 0.5))
        if bool(student_modules) != bool(teacher_modules):
            raise ValueError(
                f"student_modules={list(student_modules)} and "
                f"teacher_modules={list(teacher_modules)}: name modules of both, or of neither."
            )
        self.region = region
        self.background_weight = background_weight
        self.near_ratio = near_ratio
        self.channel_reduction: ChannelReduction = channel_reduction
        self.student_modules = tuple(student_modules)
        self.teacher_modules = tuple(teacher_modules)
        if self.student_modules:
            self.reads = frozenset()

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Create one adaptation layer per level.

        Raises:
            ValueError: if the outputs of the modules are not feature maps of
                the same sizes, as many on both sides.
        """
        if self.student_modules:
            shapes_s = _map_shapes(student, self.student_modules)
            shapes_t = _map_shapes(teacher, self.teacher_modules)
            if [shape[2:] for shape in shapes_s] != [shape[2:] for shape in shapes_t]:
                raise ValueError(
                    f"student_modules={list(self.student_modules)} give maps of "
                    f"{[list(shape[2:]) for shape in shapes_s]} and "
                    f"teacher_modules={list(self.teacher_modules)} of "
                    f"{[list(shape[2:]) for shape in shapes_t]} (height, width); name modules "
                    "whose maps are as many and of the same sizes."
                )
            student = replace(student, channels=tuple(shape[1] for shape in shapes_s))
            teacher = replace(teacher, channels=tuple(shape[1] for shape in shapes_t))
        super().connect(student, teacher)

    def settings(self) -> dict[str, Any]:
        """Settings to show in the start-up report."""
        settings: dict[str, Any] = {"region": self.region}
        if self.region == "decoupled":
            settings["background_weight"] = self.background_weight
        if self.region == "near_objects":
            settings["near_ratio"] = self.near_ratio
        return settings | {"channel_reduction": self.channel_reduction}

    def forward(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return ``loss_feature``, or ``loss_object`` and ``loss_background`` where decoupled."""
        if self.student_modules:
            student = replace(student, features=_outputs(student, self.student_modules))
            teacher = replace(teacher, features=_outputs(teacher, self.teacher_modules))
        pairs = self.pairs(student, teacher)
        if self.region == "decoupled":
            return {
                "loss_object": self._loss(pairs, object_masks(student)),
                "loss_background": self.background_weight
                * self._loss(pairs, background_masks(student)),
            }
        if self.region == "near_objects":
            return {"loss_feature": self._loss(pairs, near_object_masks(student, self.near_ratio))}
        everywhere = [feat_t.new_ones(len(feat_t), *feat_t.shape[2:]) for _, feat_t in pairs]
        return {"loss_feature": self._loss(pairs, everywhere)}

    def _loss(self, pairs: Sequence[tuple[Tensor, Tensor]], masks: Sequence[Tensor]) -> Tensor:
        return self.total(
            [
                imitation_loss(feat_s, feat_t, mask, self.channel_reduction)
                for (feat_s, feat_t), mask in zip(pairs, masks, strict=True)
            ]
        )


def _map_shapes(spec: DetectorSpec, paths: Sequence[str]) -> list[tuple[int, ...]]:
    shapes = [shape for path in paths for shape in spec.outputs.get(path, ())]
    if not shapes or any(len(shape) != 4 for shape in shapes):
        raise ValueError(
            f"{spec.role}_modules={list(paths)} give outputs of the shapes "
            f"{[list(shape) for shape in shapes]} in the {spec.role} {spec.type}; name modules "
            "before its second stage that return feature maps [N, C, H, W]."
        )
    return shapes


def _outputs(view: View, paths: Sequence[str]) -> tuple[Tensor, ...]:
    found: list[Tensor] = []
    for path in paths:
        for output in view.outputs[path]:
            found += [output] if isinstance(output, Tensor) else output
    return tuple(found)
