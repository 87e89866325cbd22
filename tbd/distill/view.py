"""What a distillation term sees of a detector at every step."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from torch import Tensor

from tbd.distill.ground_truth import GroundTruth
from tbd.predictions import (
    DensePredictions,
    HeadFeatures,
    QueryPredictions,
    RoIPredictions,
    RunnableHead,
)

Made = TypeVar("Made")


@dataclass(frozen=True)
class View:
    """One detector's tensors of one training step.

    What no term of the run declares in its ``reads`` is None or empty.

    Attributes:
        gt: Ground truth of the batch.
        features: Per pyramid level, the neck's output [N, C, H, W].
        predictions: What the dense head predicts before NMS.
        rois: For each stage of the student's RoI head, what this detector
            predicts for the proposals of that stage.
        backbone: The backbone's outputs [N, C, H, W].
        head_features: What the convolutions of the dense head's towers give.
        queries: What each decoder layer predicts from its queries.
        head: The dense head itself, to be run on other features. The teacher's
            is frozen; gradients flow through it to those features.
        outputs: By module path, what the module returned at each of its calls;
            a head shared by the pyramid levels is called once per level.
        images: The detector's normalised input [N, 3, H, W].
        levels: Which of the detector's own pyramid levels ``features`` holds.
        resized_to: Height and width of each level that maps of predictions are
            to be brought to; None leaves them as predicted.
    """

    gt: GroundTruth
    features: tuple[Tensor, ...] = ()
    predictions: DensePredictions | None = None
    rois: tuple[RoIPredictions, ...] | None = None
    backbone: tuple[Tensor, ...] = ()
    head_features: HeadFeatures | None = None
    queries: QueryPredictions | None = None
    head: RunnableHead | None = None
    outputs: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    images: Tensor | None = None
    levels: tuple[int, ...] | None = None
    resized_to: tuple[tuple[int, int], ...] | None = None
    # Not an argument, so that a view made by `replace` starts with an empty one.
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of the features of each level."""
        return tuple((level.shape[2], level.shape[3]) for level in self.features)

    def select(self, levels: Sequence[int]) -> "View":
        """See these pyramid levels only, in this order."""
        levels = tuple(levels)
        return replace(
            self,
            features=tuple(self.features[level] for level in levels) if self.features else (),
            predictions=self.predictions and self.predictions.select(levels),
            head_features=self.head_features and self.head_features.select(levels),
            head=self.head and self.head.select(levels),
            levels=levels,
        )

    def cached(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Make something of this view once per step, for all terms that ask for it.

        Args:
            key: Stands for all that decides on the result, such as a function
                and its settings.
            make: Makes it.
        """
        if key not in self._made:
            self._made[key] = make()
        return cast(Made, self._made[key])
