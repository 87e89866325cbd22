"""Adapters from the raw output of a head family to :class:`DensePredictions`.

A new family is one new file: a subclass of :class:`PredictionAdapter`,
registered for the family's head classes with :func:`register_adapter`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from torch import nn

from tbd.predictions.dense import DensePredictions, Encoding


class UnsupportedHeadError(TypeError):
    """No adapter reads the predictions of this dense head."""


class PredictionAdapter(ABC):
    """Reads the raw output of one dense head.

    Args:
        head: The dense head whose ``forward`` output will be read.
    """

    def __init__(self, head: BaseDenseHead) -> None:
        self.head = head

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Number of foreground classes in the logits."""

    @property
    @abstractmethod
    def anchors_per_location(self) -> tuple[int, ...]:
        """Number of predictions per location, for each level."""

    @property
    @abstractmethod
    def prior_layout(self) -> Hashable:
        """Identity of the priors.

        Predictions of two heads with equal layouts correspond one to one: the
        same index means the same location and the same prior box or point.
        """

    @property
    def background(self) -> bool:
        """Whether the classifier is a softmax whose last class is the background."""
        return False

    @property
    def prior_offset(self) -> float:
        """Where in its cell the centre of a prior lies: 0 in the corner, 0.5 in the middle."""
        return 0.5

    @property
    def encoding(self) -> Encoding:
        """What the raw regression of the predictions is."""
        return "other"

    @property
    def bins(self) -> int | None:
        """Bins of each side's distribution, for heads that predict distributions."""
        return None

    @property
    def strides(self) -> tuple[tuple[float, float], ...] | None:
        """Pixels per cell, (horizontal, vertical), that the boxes of each level rest on.

        Where given, they are compared with the features when a model is built, and
        objects are looked for at these locations.
        """
        return None

    @abstractmethod
    def __call__(self, outputs: Any) -> DensePredictions:
        """Wrap one output of ``head.forward``.

        Raises:
            UnsupportedHeadError: if the output is not what this family returns.
        """


_ADAPTERS: dict[type[nn.Module], type[PredictionAdapter]] = {}

AdapterClass = TypeVar("AdapterClass", bound=type[PredictionAdapter])


def register_adapter(*head_classes: type[nn.Module]) -> Callable[[AdapterClass], AdapterClass]:
    """Class decorator: read heads of these classes, and of their subclasses, with the adapter."""

    def register(adapter: AdapterClass) -> AdapterClass:
        _ADAPTERS.update(dict.fromkeys(head_classes, adapter))
        return adapter

    return register


def build_adapter(head: BaseDenseHead) -> PredictionAdapter:
    """Build the adapter registered for the head's class, or for the nearest of its bases.

    Raises:
        UnsupportedHeadError: if there is none; the message names the head's
            bases and the supported classes.
    """
    for base in type(head).__mro__:
        if base in _ADAPTERS:
            return _ADAPTERS[base](head)
    bases = ", ".join(base.__name__ for base in type(head).__mro__ if base is not object)
    supported = ", ".join(sorted(base.__name__ for base in _ADAPTERS))
    raise UnsupportedHeadError(
        f"No prediction adapter reads {type(head).__name__} (bases: {bases}). Supported heads and "
        f"their subclasses: {supported}. Register an adapter of your own by the recipe in "
        "docs/new_head.md, or distill with terms that compare features only."
    )


def find_dense_head(detector: nn.Module) -> tuple[str, BaseDenseHead]:
    """Find the head that predicts densely: a one-stage detector's head, or the RPN.

    Returns:
        Its attribute name in the detector and the head itself.

    Raises:
        UnsupportedHeadError: if the detector has none, as DETR and its kin,
            which predict from queries.
    """
    others = []
    for name in ("rpn_head", "bbox_head"):
        head = getattr(detector, name, None)
        if isinstance(head, BaseDenseHead):
            return name, head
        if head is not None:
            others.append(f"{name} is a {type(head).__name__}")
    raise UnsupportedHeadError(
        f"{type(detector).__name__} has no dense head, one that predicts at every location of the "
        f"feature maps ({' and '.join(others) or 'it has neither an rpn_head nor a bbox_head'}). "
        "Such detectors, DETR among them, are distilled by terms that compare features only."
    )
