"""The class and box towers of a dense head: their features, and the head from there on."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmcv.cnn import ConvModule
from mmdet.models.dense_heads import SSDHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from torch import Tensor, nn

from tbd.predictions.adapter import UnsupportedHeadError

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
        preactivations: By the numbers of those convolutions, counted from 1, for
            which terms ask: what goes into the activation that they end with, of
            the class tower and of the box tower, for each pyramid level.
    """

    cls: tuple[tuple[Tensor, ...], ...]
    reg: tuple[tuple[Tensor, ...], ...]
    preactivations: Mapping[int, tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = field(
        default_factory=dict
    )

    def select(self, levels: Sequence[int]) -> "HeadFeatures":
        """Keep some of the levels, in the order given."""

        def of(conv: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(conv[level] for level in levels)

        return HeadFeatures(
            cls=tuple(of(conv) for conv in self.cls),
            reg=tuple(of(conv) for conv in self.reg),
            preactivations={
                depth: (of(cls), of(reg)) for depth, (cls, reg) in self.preactivations.items()
            },
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

    def preactivations(self) -> frozenset[int]:
        """Numbers, from 1, of the convolutions that end with an activation in both towers."""
        return frozenset(
            depth
            for depth in range(1, min(self.depths) + 1)
            if all(
                _ends_with_activation(layers[depth - 1])
                for tower in self._towers
                for layers in tower
            )
        )

    def activations(self, depth: int) -> dict[str, Any]:
        """The activations that the convolutions of a number end with.

        Args:
            depth: One of :meth:`preactivations`.

        Returns:
            By the convolutions' names in :meth:`modules`.
        """
        return {
            f"{task}.{depth - 1}.{copy_index}": layers[depth - 1].activate
            for task, tower in zip(("cls", "reg"), self._towers, strict=True)
            for copy_index, layers in enumerate(tower)
        }

    def collect(
        self,
        outputs: Mapping[str, Sequence[Tensor]],
        preactivations: Mapping[int, Mapping[str, Sequence[Tensor]]] | None = None,
    ) -> HeadFeatures:
        """Sort what the convolutions returned by convolution and pyramid level.

        Args:
            outputs: By the names of :meth:`modules`, the outputs of all calls.
            preactivations: By number of a convolution and the names of
                :meth:`activations`, the inputs of all calls.
        """
        cls, reg = (
            tuple(
                _by_level(outputs, task, depth, copies=len(tower)) for depth in range(len(tower[0]))
            )
            for task, tower in zip(("cls", "reg"), self._towers, strict=True)
        )
        before = {
            depth: (
                _by_level(inputs, "cls", depth - 1, copies=len(self._towers[0])),
                _by_level(inputs, "reg", depth - 1, copies=len(self._towers[1])),
            )
            for depth, inputs in (preactivations or {}).items()
        }
        return HeadFeatures(cls, reg, before)

    def forward_from(
        self,
        depth: int,
        cls_features: Sequence[Tensor],
        reg_features: Sequence[Tensor],
        features: Sequence[Tensor],
        preactivated: bool = False,
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
            preactivated: ``cls_features`` and ``reg_features`` are from before the
                activation that these convolutions end with, which is applied to
                copies of them.

        Returns:
            What ``head.forward`` returns.

        Raises:
            ValueError: if a tower has fewer convolutions, one that should end
                with an activation does not, or the features are not of as many
                levels.
        """
        if not 1 <= depth <= min(self.depths):
            raise ValueError(
                f"depth={depth} must be from 1 to {min(self.depths)}: the towers of "
                f"{type(self._head).__name__} have {self.depths[0]} (classes) and "
                f"{self.depths[1]} (boxes) convolutions."
            )
        if preactivated and depth not in self.preactivations():
            raise ValueError(
                f"depth={depth}: the towers of {type(self._head).__name__} end with an activation "
                f"of their own at {sorted(self.preactivations())} only."
            )
        if not len(cls_features) == len(reg_features) == len(features):
            raise ValueError(
                f"cls_features of {len(cls_features)}, reg_features of {len(reg_features)} and "
                f"features of {len(features)} levels must be of as many."
            )
        rest = copy.copy(self._head)
        rest.__dict__["_modules"] = dict(self._head._modules)
        for name, given in zip(self._names, (cls_features, reg_features), strict=True):
            tower = getattr(self._head, name)
            setattr(rest, name, _shortened(tower, depth, given, preactivated))
        # Without the hooks, which whoever set them meant for the head's own run.
        return rest.forward(tuple(features))


def _layers(tower: Any) -> list[list[nn.Module]]:
    """For each copy of a tower, its convolutions; empty if it is no tower."""
    if not isinstance(tower, nn.ModuleList | nn.Sequential):
        return []
    copies: Any = tower if _is_per_level(tower) else [tower]
    copies = [list(own) for own in copies]
    return copies if all(copies) else []


def _ends_with_activation(layer: nn.Module) -> bool:
    return isinstance(layer, ConvModule) and layer.with_activation and layer.order[-1] == "act"


def _by_level(
    calls: Mapping[str, Sequence[Tensor]], task: str, index: int, copies: int
) -> tuple[Tensor, ...]:
    # A tower that all levels share is called level by level; else each has its own.
    return tuple(
        call for copy_index in range(copies) for call in calls[f"{task}.{index}.{copy_index}"]
    )


class _Given(nn.Module):
    """Returns one of the given features at each call, whatever its input.

    Args:
        features: The features.
        activation: Applied to copies of them, since it may overwrite its input.
    """

    def __init__(self, features: Sequence[Tensor], activation: nn.Module | None) -> None:
        super().__init__()
        self._features: Iterator[Tensor] = iter(features)
        self._activation = activation

    def forward(self, _: Tensor) -> Tensor:
        given = next(self._features)
        if self._activation is None:
            return given
        activated: Tensor = self._activation(given.clone())
        return activated


def _shortened(tower: Any, depth: int, features: Sequence[Tensor], preactivated: bool) -> nn.Module:
    container = nn.Sequential if isinstance(tower, nn.Sequential) else nn.ModuleList
    if not _is_per_level(tower):
        activation = tower[depth - 1].activate if preactivated else None
        return _of(container, [_Given(features, activation), *tower[depth:]])
    return _of(
        container,
        [
            _shortened(own, depth, [feature], preactivated)
            for own, feature in zip(tower, features, strict=True)
        ],
    )


def _of(container: type[nn.Module], layers: list[nn.Module]) -> nn.Module:
    return container(*layers) if container is nn.Sequential else container(layers)


def _is_per_level(tower: Any) -> bool:
    return all(isinstance(layer, nn.ModuleList | nn.Sequential) for layer in tower)
