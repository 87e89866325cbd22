"""The class and box towers of a dense head: their features, and the head from there on."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmdet.models.dense_heads import SSDHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from torch import Tensor, nn

from tbd.predictions.adapter import PredictionAdapter, UnsupportedHeadError, build_adapter
from tbd.predictions.dense import DensePredictions

_TOWERS = (
    ("cls_convs", "reg_convs"),
    ("multi_level_cls_convs", "multi_level_reg_convs"),
    ("cls_subnet", "bbox_subnet"),
)
"""Attributes under which MMDetection's heads keep their towers: classes, then boxes."""


@dataclass(frozen=True)
class HeadFeatures:
    """What the convolutions of a dense head's towers give.

    Attributes:
        cls: For each convolution of the class tower, for each pyramid level, its
            output [N, C, H, W].
        reg: Likewise of the box tower.
    """

    cls: tuple[tuple[Tensor, ...], ...]
    reg: tuple[tuple[Tensor, ...], ...]

    def select(self, levels: Sequence[int]) -> "HeadFeatures":
        """Keep some of the levels, in the order given."""
        return HeadFeatures(
            *(
                tuple(tuple(conv[level] for level in levels) for conv in tower)
                for tower in (self.cls, self.reg)
            )
        )


class HeadTowers:
    """The separate class and box towers of a dense head.

    Args:
        head: A dense head of MMDetection.

    Raises:
        UnsupportedHeadError: if the head has no two separate towers, as the RPN,
            whose only convolution serves both tasks, and TOOD.

    Attributes:
        depths: Number of convolutions of the class tower and of the box tower.
    """

    def __init__(self, head: BaseDenseHead) -> None:
        self._head = head
        for names in _TOWERS:
            towers = [_layers(getattr(head, name, None)) for name in names]
            # The convolutions of this name in an SSD head are its predictors.
            if all(towers) and not isinstance(head, SSDHead):
                if towers[0][0][0] is towers[1][0][0]:
                    raise UnsupportedHeadError(
                        f"{type(head).__name__} has the same convolutions in {names[0]} and "
                        f"{names[1]}, not separate towers for classes and boxes."
                    )
                self._names = names
                self._towers = towers
                self.depths = (len(towers[0][0]), len(towers[1][0]))
                return
        raise UnsupportedHeadError(
            f"{type(head).__name__} has no separate towers of convolutions for classes and boxes "
            f"(attributes {' or '.join('/'.join(names) for names in _TOWERS)}, with at least one "
            "convolution each)."
        )

    def modules(self) -> dict[str, nn.Module]:
        """Every convolution of both towers, by a name that :meth:`collect` knows."""
        return {
            f"{task}.{depth}.{copy_index}": layer
            for task, tower in zip(("cls", "reg"), self._towers, strict=True)
            for copy_index, layers in enumerate(tower)
            for depth, layer in enumerate(layers)
        }

    def collect(self, outputs: Mapping[str, Sequence[Tensor]]) -> HeadFeatures:
        """Sort what the convolutions returned by convolution and pyramid level.

        Args:
            outputs: By the names of :meth:`modules`, the outputs of all calls.
        """
        return HeadFeatures(
            *(
                tuple(
                    # A tower that all levels share is called level by level; else each has its own.
                    tuple(
                        output
                        for copy_index in range(len(tower))
                        for output in outputs[f"{task}.{depth}.{copy_index}"]
                    )
                    for depth in range(len(tower[0]))
                )
                for task, tower in zip(("cls", "reg"), self._towers, strict=True)
            )
        )

    def forward_from(
        self,
        depth: int,
        cls_features: Sequence[Tensor],
        reg_features: Sequence[Tensor],
        features: Sequence[Tensor],
    ) -> Any:
        """Run the head as if its first convolutions had given these features.

        The head shares its weights with the one that is run; neither it nor any
        of its modules is changed. Gradients flow to the features.

        Args:
            depth: Number of convolutions to leave out of both towers, at least 1.
            cls_features: Per pyramid level, in place of the output of the class
                tower's convolution number ``depth``, counted from 1 [N, C, H, W].
            reg_features: Likewise for the box tower.
            features: The neck's output of each level, for heads that look at it
                beside the towers.

        Returns:
            What ``head.forward`` returns.

        Raises:
            ValueError: if a tower has fewer convolutions, or the features are
                not of as many levels.
        """
        if not 1 <= depth <= min(self.depths):
            raise ValueError(
                f"depth={depth} must be from 1 to {min(self.depths)}: the towers of "
                f"{type(self._head).__name__} have {self.depths[0]} (classes) and "
                f"{self.depths[1]} (boxes) convolutions."
            )
        if not len(cls_features) == len(reg_features) == len(features):
            raise ValueError(
                f"cls_features of {len(cls_features)}, reg_features of {len(reg_features)} and "
                f"features of {len(features)} levels must be of as many."
            )
        rest = copy.copy(self._head)
        rest.__dict__["_modules"] = dict(self._head._modules)
        for name, given in zip(self._names, (cls_features, reg_features), strict=True):
            setattr(rest, name, _shortened(getattr(self._head, name), depth, given))
        # Without the hooks, which whoever set them meant for the head's own run.
        return rest.forward(tuple(features))


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
        self, depth: int, cls_features: Sequence[Tensor], reg_features: Sequence[Tensor]
    ) -> DensePredictions:
        """Run the rest of the head, from the convolution after the first ``depth`` on.

        Args:
            depth: Number of convolutions to leave out of both towers, at least 1.
            cls_features: Per compared level, in place of the class tower's features.
            reg_features: Likewise of the box tower.

        Returns:
            Its predictions for those levels; gradients flow to the features.

        Raises:
            UnsupportedHeadError: if the head has no separate towers.
            ValueError: see :meth:`HeadTowers.forward_from`.
        """
        towers = HeadTowers(self.module)
        cls_levels = self._on_every_level(cls_features)
        outputs = towers.forward_from(
            depth, cls_levels, self._on_every_level(reg_features), cls_levels
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


def _layers(tower: Any) -> list[list[nn.Module]]:
    """For each copy of a tower, its convolutions; empty if it is no tower."""
    if not isinstance(tower, nn.ModuleList | nn.Sequential):
        return []
    copies: Any = tower if _is_per_level(tower) else [tower]
    copies = [list(own) for own in copies]
    return copies if all(copies) else []


class _Given(nn.Module):
    """Returns one of the given features at each call, whatever its input."""

    def __init__(self, features: Sequence[Tensor]) -> None:
        super().__init__()
        self._features: Iterator[Tensor] = iter(features)

    def forward(self, _: Tensor) -> Tensor:
        return next(self._features)


def _shortened(tower: Any, depth: int, features: Sequence[Tensor]) -> nn.Module:
    container = nn.Sequential if isinstance(tower, nn.Sequential) else nn.ModuleList
    if not _is_per_level(tower):
        return _of(container, [_Given(features), *tower[depth:]])
    return _of(
        container,
        [_shortened(own, depth, [feature]) for own, feature in zip(tower, features, strict=True)],
    )


def _of(container: type[nn.Module], layers: list[nn.Module]) -> nn.Module:
    return container(*layers) if container is nn.Sequential else container(layers)


def _is_per_level(tower: Any) -> bool:
    return all(isinstance(layer, nn.ModuleList | nn.Sequential) for layer in tower)
