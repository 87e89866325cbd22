"""What the adapters of all heads share whose boxes are relative to priors: anchors or points."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from tbd.predictions.adapter import PredictionAdapter, UnsupportedHeadError
from tbd.predictions.dense import DensePredictions
from tbd.predictions.layout import channels_of, prediction_rows

Branches = tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor] | None]
"""Per level, class logits [N, A·C, H, W], regression [N, A·R, H, W] and quality [N, A, H, W]."""


def check_sigmoid(head: BaseDenseHead) -> None:
    """Make sure that the class scores of a head with a quality branch have logits.

    Raises:
        UnsupportedHeadError: if the head has a softmax classifier, whose
            scores times quality have none.
    """
    if not head.use_sigmoid_cls:
        raise UnsupportedHeadError(
            f"{type(head).__name__} has loss_cls.use_sigmoid=False, but beside a branch that "
            "judges boxes only a sigmoid classifier can be read: set loss_cls.use_sigmoid=True."
        )


class PriorAdapter(PredictionAdapter):
    """Base for heads with a ``prior_generator``; a family overrides what differs in it.

    That is, the items of the head's output (``_widths``), what each is
    (``_branches``), and how boxes are made of priors (``_boxes``; by default,
    by the head's ``bbox_coder``).
    """

    quality_exponent = 1.0

    @property
    def num_classes(self) -> int:
        """Number of foreground classes; 1 for an RPN."""
        return int(self.head.num_classes)

    @property
    def anchors_per_location(self) -> tuple[int, ...]:
        """Number of priors at each location, for each level."""
        return tuple(self._generator.num_base_priors)

    @property
    def strides(self) -> tuple[tuple[float, float], ...]:
        """Distances between the priors of neighbouring locations, (horizontal, vertical)."""
        return tuple(self._generator.strides)

    def __call__(self, outputs: Any) -> DensePredictions:
        """Wrap the head's lists; boxes are decoded when they are first asked for.

        Raises:
            UnsupportedHeadError: if the output is not of the family's form, as
                in heads that inherit from it but predict something else.
        """
        self._check(outputs)
        cls_logits, regression, quality = self._branches(outputs)
        return DensePredictions(
            list(cls_logits),
            self.num_classes,
            decode=lambda: self._decode(regression),
            background=self.background,
            quality=None if quality is None else list(quality),
            quality_exponent=self.quality_exponent,
            regression=regression,
            encoding=self.encoding,
        )

    @property
    def background(self) -> bool:
        """Whether the classifier is a softmax whose last class is the background."""
        return not self.head.use_sigmoid_cls

    @property
    def _generator(self) -> Any:
        return self.head.prior_generator

    @property
    @abstractmethod
    def _widths(self) -> dict[str, int]:
        """Channels per prior of each list that the head returns in its present mode, by name."""

    def _branches(self, outputs: Any) -> Branches:
        """Tell what the lists are. The head is in the mode in which it made them, not so later."""
        cls_logits, regression = outputs
        return cls_logits, regression, None

    def _boxes(self, priors: Tensor, regression: Tensor, stride: float) -> Tensor:
        """Boxes [M, 4] of priors, [M, 4] or [M, 2], with what was regressed for them [M, R]."""
        # No max_shape: clipping to the image would kill the gradient of boxes that cross it.
        return get_box_tensor(self.head.bbox_coder.decode(priors, regression))

    def _decode(self, regression: Sequence[Tensor]) -> list[Tensor]:
        priors = self._generator.grid_priors(
            [level.shape[-2:] for level in regression],
            dtype=torch.float32,
            device=regression[0].device,
        )
        boxes = []
        for level_priors, per_location, level, (stride, _) in zip(
            priors, self.anchors_per_location, regression, self.strides, strict=True
        ):
            rows = prediction_rows(level, level.shape[1] // per_location)
            every_image = get_box_tensor(level_priors).repeat(rows.shape[0], 1)
            boxes.append(
                self._boxes(every_image, rows.flatten(0, 1), stride).view(rows.shape[0], -1, 4)
            )
        return boxes

    def _check(self, outputs: Any) -> None:
        expected = [
            [priors * width for priors in self.anchors_per_location]
            for width in self._widths.values()
        ]
        found = channels_of(outputs)
        if found != expected:
            raise UnsupportedHeadError(
                f"{type(self.head).__name__} is read by {type(self).__name__}, registered for one "
                "of its bases, but its output is of another form: channels per level "
                f"{found or 'unreadable'} where {expected} ({', '.join(self._widths)}) are "
                "expected. Register an adapter of its own, see docs/new_head.md."
            )
