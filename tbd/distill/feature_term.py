"""What distillation terms on pyramid features share: adaptation and the weights of the levels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tbd.checks import check_not_negative
from tbd.distill.spec import DetectorSpec
from tbd.distill.term import DistillationTerm
from tbd.distill.view import View
from tbd.modules import AdaptationKind, build_adaptation
from tbd.precision import at_least_float32


class FeatureTerm(DistillationTerm):
    """Base of the terms that sum a loss of features over the pyramid levels.

    Args:
        loss_weight: Factor on the sum over the levels.
        adaptation: Layer from the student's to the teacher's channels, one per
            level, see :func:`~tbd.modules.build_adaptation`.
        level_weights: A factor for each of the paired levels, finite and not
            negative; None weighs all levels by 1.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        adaptation: AdaptationKind = "auto",
        level_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(loss_weight)
        for level, weight in enumerate(level_weights or ()):
            check_not_negative(**{f"level_weights[{level}]": weight})
        if level_weights and not any(level_weights):
            raise ValueError(
                f"level_weights={tuple(level_weights)} must not all be 0: nothing would be "
                "distilled; drop the term instead, distill=dict(NAME=None)."
            )
        self.adaptation = adaptation
        self.adaptations = nn.ModuleList()
        self.level_weights = None if level_weights is None else tuple(map(float, level_weights))

    def connect(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        """Check the weights of the levels and create one layer per pyramid level.

        Raises:
            ValueError: if there are more or fewer weights than levels.
        """
        levels = len(student.channels)
        if self.level_weights is not None and len(self.level_weights) != levels:
            raise ValueError(
                f"level_weights={self.level_weights} are {len(self.level_weights)}, but {levels} "
                "pyramid levels are compared; give one for each."
            )
        self.adaptations = nn.ModuleList(
            self.build_level(channels_s, channels_t)
            for channels_s, channels_t in zip(student.channels, teacher.channels, strict=True)
        )

    def build_level(self, channels_s: int, channels_t: int) -> nn.Module:
        """Build the layers of one level, by default the adaptation alone."""
        return build_adaptation(self.adaptation, channels_s, channels_t)

    def settings(self) -> dict[str, Any]:
        """Settings to show in the start-up report, by their config key."""
        return {}

    def describe(self) -> str:
        """Name the term and its settings."""
        settings: dict[str, Any] = {"loss_weight": self.loss_weight, "adaptation": self.adaptation}
        if self.level_weights is not None:
            settings["level_weights"] = self.level_weights
        settings |= self.settings()
        listed = ", ".join(f"{key}={value}" for key, value in settings.items())
        return f"{type(self).__name__}({listed})"

    def pairs(self, student: View, teacher: View) -> list[tuple[Tensor, Tensor]]:
        """Features of each level, the student's adapted, the teacher's constant, both float32."""
        return [
            (adapt(at_least_float32(feat_s)), at_least_float32(feat_t).detach())
            for adapt, feat_s, feat_t in zip(
                self.adaptations, student.features, teacher.features, strict=True
            )
        ]

    def total(self, losses: Sequence[Tensor]) -> Tensor:
        """Sum the losses of the levels, weighted."""
        stacked = torch.stack(list(losses))
        if self.level_weights is not None:
            stacked = stacked * stacked.new_tensor(self.level_weights)
        return self.loss_weight * stacked.sum()
