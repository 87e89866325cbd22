"""What the decoders of DETR and its kin predict from their queries."""

from collections.abc import Sequence
from typing import Any

from mmdet.models.dense_heads import ConditionalDETRHead, DABDETRHead, DeformableDETRHead, DETRHead
from mmdet.models.detectors import DetectionTransformer
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from torch import Tensor

from tbd.precision import at_least_float32
from tbd.predictions.adapter import UnsupportedHeadError

_READABLE = (
    DETRHead.forward,
    ConditionalDETRHead.forward,
    DABDETRHead.forward,
    DeformableDETRHead.forward,
)
"""Heads of these forward methods return class logits and boxes of all decoder layers."""


class QueryPredictions:
    """Class logits and boxes of every decoder layer of one forward pass.

    Args:
        cls_logits: Raw logits [L, N, Q, C] of L layers and Q queries; C is
            ``num_classes``, or one more with ``background``.
        centers_and_sizes: Boxes [L, N, Q, 4] as centre x, y, width, height, in
            parts of the image.
        hidden: For each layer, the queries after it [N, Q, D].
        image_sizes: Height and width of each image in pixels.
        num_classes: Number of foreground classes.
        background: The last of the channels is the background class of a
            softmax classifier.
        denoising: The same of the queries that were made by adding noise to the
            ground truth, which a detector has only while it trains.

    Attributes:
        cls_logits: As given.
        centers_and_sizes: As given.
        hidden: As given.
        num_classes: As given.
        background: As given.
        denoising: As given; None where there were no such queries.
    """

    def __init__(
        self,
        cls_logits: Tensor,
        centers_and_sizes: Tensor,
        hidden: Sequence[Tensor],
        image_sizes: Sequence[tuple[int, int]],
        num_classes: int,
        background: bool,
        denoising: "QueryPredictions | None" = None,
    ) -> None:
        self.cls_logits = cls_logits
        self.centers_and_sizes = centers_and_sizes
        self.hidden = tuple(hidden)
        self.num_classes = num_classes
        self.background = background
        self.denoising = denoising
        self._image_sizes = tuple(image_sizes)

    def select_classes(self, classes: Sequence[int]) -> "QueryPredictions":
        """Keep the logits of some of the classes, in the order given, and of the background."""
        kept = [*classes, self.num_classes] if self.background else list(classes)
        return QueryPredictions(
            self.cls_logits[..., kept],
            self.centers_and_sizes,
            self.hidden,
            self._image_sizes,
            len(classes),
            self.background,
            denoising=self.denoising and self.denoising.select_classes(classes),
        )

    @property
    def boxes(self) -> Tensor:
        """Boxes [L, N, Q, 4] as ``x1, y1, x2, y2`` in pixels of the input, at least float32."""
        boxes = bbox_cxcywh_to_xyxy(at_least_float32(self.centers_and_sizes))
        factors = [[width, height, width, height] for height, width in self._image_sizes]
        return boxes * boxes.new_tensor(factors)[None, :, None]


class QueryReader:
    """Reads the head of a detector that predicts from queries.

    Args:
        detector: DETR, Conditional, DAB, Deformable DETR, DINO, or a subclass
            whose head predicts as theirs.

    Raises:
        UnsupportedHeadError: if the detector has no decoder of queries, or a
            head that returns something else.

    Attributes:
        head: The head.
        num_classes: Number of foreground classes.
        background: Its classifier is a softmax whose last class is the background.
        num_queries: Queries of an image, without those for denoising.
    """

    def __init__(self, detector: BaseDetector) -> None:
        head = getattr(detector, "bbox_head", None)
        if not (isinstance(detector, DetectionTransformer) and isinstance(head, DETRHead)):
            raise UnsupportedHeadError(
                f"{type(detector).__name__} does not predict from the queries of a decoder, as "
                "DETR and its kin do."
            )
        if type(head).forward not in _READABLE:
            raise UnsupportedHeadError(
                f"{type(head).__name__} has a forward of its own; queries are read of DETR, "
                "Conditional, DAB and Deformable DETR, DINO, and heads that inherit from them."
            )
        self.head = head
        self.num_classes = int(head.num_classes)
        self.background = not head.loss_cls.use_sigmoid
        self.num_queries = int(detector.num_queries)

    def __call__(
        self, inputs: Sequence[Any], outputs: Any, image_sizes: Sequence[tuple[int, int]]
    ) -> QueryPredictions:
        """Wrap one call of the head.

        Args:
            inputs: Its positional arguments, of which the first are the queries
                of all layers.
            outputs: What it returned.
            image_sizes: Height and width of each image in pixels.
        """
        cls_logits, boxes = outputs
        hidden = list(inputs[0])
        extra = cls_logits.shape[2] - self.num_queries
        # Queries for denoising come before those that are matched.
        parts = [(extra, None)] if extra <= 0 else [(0, extra), (extra, None)]
        found: QueryPredictions | None = None
        for start, stop in parts:
            rows = slice(max(start, 0), stop)
            found = QueryPredictions(
                cls_logits[:, :, rows],
                boxes[:, :, rows],
                [layer[:, rows] for layer in hidden],
                image_sizes,
                self.num_classes,
                self.background,
                denoising=found,
            )
        assert found is not None
        return found
