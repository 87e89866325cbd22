"""A dense head that is run on other features than its detector's own."""

from collections.abc import Sequence
from typing import Any

from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from torch import Tensor

from tbd.predictions.adapter import PredictionAdapter, build_adapter
from tbd.predictions.dense import DensePredictions
from tbd.predictions.towers import HeadTowers


class RunnableHead:
    """A detector's dense head, to be run on other features than its own.

    Args:
        head: The dense head.
        levels: Which of its pyramid levels are compared, in this order; None
            stands for all.
        classes: Which of its classes are compared, likewise.

    Attributes:
        module: The dense head itself.
    """

    def __init__(
        self,
        head: BaseDenseHead,
        levels: tuple[int, ...] | None = None,
        classes: tuple[int, ...] | None = None,
    ) -> None:
        self.module = head
        self.levels = levels
        self.classes = classes

    def select(self, levels: Sequence[int]) -> "RunnableHead":
        """Compare these pyramid levels only, in this order."""
        return RunnableHead(self.module, tuple(levels), self.classes)

    def select_classes(self, classes: Sequence[int]) -> "RunnableHead":
        """Compare these classes only, in this order."""
        return RunnableHead(self.module, self.levels, tuple(classes))

    @property
    def num_classes(self) -> int:
        """Number of foreground classes of the whole head; 1 for an RPN."""
        return self._adapter().num_classes

    def predict(self, features: Sequence[Tensor]) -> DensePredictions:
        """Run the whole head.

        Args:
            features: Per compared level, in place of the neck's output [N, C, H, W].

        Returns:
            Its predictions for those levels; gradients flow to the features.
        """
        outputs = self.module(tuple(self._on_every_level(features)))
        return self._read(outputs)

    def predict_from(
        self,
        depth: int,
        cls_features: Sequence[Tensor],
        reg_features: Sequence[Tensor],
        preactivated: bool = False,
    ) -> DensePredictions:
        """Run the rest of the head, from the convolution after the first ``depth`` on.

        Args:
            depth: Number of convolutions to leave out of both towers, at least 1.
            cls_features: Per compared level, in place of the class tower's features.
            reg_features: Likewise of the box tower.
            preactivated: They are from before the activation of that convolution.

        Returns:
            Its predictions for those levels; gradients flow to the features.

        Raises:
            UnsupportedHeadError: if the head has no separate towers.
            ValueError: see :meth:`HeadTowers.forward_from`.
        """
        towers = HeadTowers(self.module)
        cls_levels = self._on_every_level(cls_features)
        outputs = towers.forward_from(
            depth, cls_levels, self._on_every_level(reg_features), cls_levels, preactivated
        )
        return self._read(outputs)

    def _read(self, outputs: Any) -> DensePredictions:
        predictions = self._adapter()(outputs)
        if self.levels is not None:
            predictions = predictions.select(self.levels)
        if self.classes is not None:
            predictions = predictions.select_classes(self.classes)
        return predictions

    def _adapter(self) -> PredictionAdapter:
        return build_adapter(self.module)

    def _on_every_level(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Fill the levels that are not compared, whose predictions nobody reads, with one cell."""
        dtype = next(self.module.parameters()).dtype
        given = [level.to(dtype) for level in features]
        if self.levels is None:
            return given
        if len(set(self.levels)) < len(self.levels):
            raise ValueError(
                f"model.level_map pairs a pyramid level of the {type(self.module).__name__} with "
                "two of the other detector's; a head can be run on one of them only. Pair each "
                "level once."
            )
        count = len(self._adapter().anchors_per_location)
        filled = [given[0].new_zeros(*given[0].shape[:2], 1, 1)] * count
        for level, feature in zip(self.levels, given, strict=True):
            filled[level] = feature
        return filled
