"""Heads that classify anchors and regress deltas to them: RetinaNet's, the RPN and their kin."""

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from mmdet.models.dense_heads import RetinaHead, RetinaSepBNHead, RPNHead, SSDHead, YOLOFHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from tbd.predictions.adapter import PredictionAdapter, UnsupportedHeadError, register_adapter
from tbd.predictions.dense import DensePredictions
from tbd.predictions.layout import channels_of, prediction_rows

Branches = tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor] | None]
"""Per level, class logits [N, A·C, H, W], regression [N, A·R, H, W] and quality [N, A, H, W]."""


@register_adapter(RetinaHead, RetinaSepBNHead, RPNHead, SSDHead, YOLOFHead)
class AnchorDeltaAdapter(PredictionAdapter):
    """Reads ``(cls_scores, bbox_preds)``: lists over levels of [N, A·C, H, W] and [N, A·4, H, W].

    The head's own ``bbox_coder`` makes boxes of anchors and deltas, so heads
    that differ in nothing but the coder (FSAF) are read as well. The base of
    the adapters of every other head with anchors, which override what differs.

    Args:
        head: An anchor head of MMDetection with a ``prior_generator`` and a
            ``bbox_coder``.
    """

    quality_exponent = 1.0

    @property
    def num_classes(self) -> int:
        """Number of foreground classes; 1 for an RPN."""
        return int(self.head.num_classes)

    @property
    def anchors_per_location(self) -> tuple[int, ...]:
        """Number of anchors at each location, for each level."""
        return tuple(self._generator.num_base_priors)

    @property
    def prior_layout(self) -> Hashable:
        """Strides and base anchors, rounded to a thousandth of a pixel."""
        anchors = [
            level.double().round(decimals=3).tolist() for level in self._generator.base_anchors
        ]
        return str((self._generator.strides, anchors))

    def __call__(self, outputs: Any) -> DensePredictions:
        """Wrap the head's lists; boxes are decoded when they are first asked for.

        Raises:
            UnsupportedHeadError: if the output is not of the form above, as in
                heads that inherit from these but predict something else.
        """
        self._check(outputs)
        cls_logits, regression, quality = self._branches(outputs)
        return DensePredictions(
            list(cls_logits),
            self.num_classes,
            decode=lambda: self._decode(regression),
            background=self._background,
            quality=None if quality is None else list(quality),
            quality_exponent=self.quality_exponent,
        )

    @property
    def _generator(self) -> Any:
        return self.head.prior_generator

    @property
    def _background(self) -> bool:
        return not self.head.use_sigmoid_cls

    @property
    def _widths(self) -> dict[str, int]:
        """Channels per anchor of each list that the head returns, by what it holds."""
        return {"class logits": self.head.cls_out_channels, "deltas": 4}

    def _branches(self, outputs: Any) -> Branches:
        cls_logits, regression = outputs
        return cls_logits, regression, None

    def _boxes(self, priors: Tensor, regression: Tensor, stride: float) -> Tensor:
        """Boxes of priors [M, 4] with what was regressed for them [M, R]."""
        # No max_shape: clipping to the image would kill the gradient of boxes that cross it.
        return get_box_tensor(self.head.bbox_coder.decode(priors, regression))

    def _decode(self, regression: Sequence[Tensor]) -> list[Tensor]:
        priors = self._generator.grid_priors(
            [level.shape[-2:] for level in regression],
            dtype=torch.float32,
            device=regression[0].device,
        )
        boxes = []
        for level_priors, anchors, level, (stride, _) in zip(
            priors, self.anchors_per_location, regression, self._generator.strides, strict=True
        ):
            rows = prediction_rows(level, level.shape[1] // anchors)
            every_image = get_box_tensor(level_priors).repeat(len(rows), 1)
            boxes.append(
                self._boxes(every_image, rows.flatten(0, 1), stride).view(len(rows), -1, 4)
            )
        return boxes

    def _check(self, outputs: Any) -> None:
        expected = [
            [anchors * width for anchors in self.anchors_per_location]
            for width in self._widths.values()
        ]
        found = channels_of(outputs)
        if found != expected:
            raise UnsupportedHeadError(
                f"{type(self.head).__name__} is read by {type(self).__name__}, registered for one "
                "of its bases, but its output is of another form: channels per level "
                f"{found or 'unreadable'} where {expected} ({', '.join(self._widths)}) are "
                "expected. Register an adapter of its own with tbd.predictions.register_adapter."
            )
