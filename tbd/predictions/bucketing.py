"""Heads that place each side of the box in a bucket and refine it there: SABL's RetinaNet head."""

from typing import Any

import torch
from mmdet.models.dense_heads import SABLRetinaHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from tbd.precision import at_least_float32
from tbd.predictions.adapter import register_adapter
from tbd.predictions.anchor_delta import AnchorDeltaAdapter
from tbd.predictions.dense import DensePredictions
from tbd.predictions.prior import Branches, check_sigmoid


@register_adapter(SABLRetinaHead)
class BucketingAdapter(AnchorDeltaAdapter):
    """Reads ``(cls_scores, bbox_preds)``, the latter a pair of [N, 4·buckets, H, W] per level.

    The pair holds the logits of each side's buckets and the offsets from them.
    A side is placed in its likeliest bucket, so a box passes its gradient to
    the offsets from those four buckets only. How sure the head is of them is
    the quality by which it multiplies class scores; Wang et al., "Side-Aware
    Boundary Localization" (arXiv 1912.04260), section 3.

    Raises:
        UnsupportedHeadError: if the head has a softmax classifier.
    """

    def __init__(self, head: BaseDenseHead) -> None:
        super().__init__(head)
        check_sigmoid(head)

    def __call__(self, outputs: Any) -> DensePredictions:
        """Wrap the head's lists; boxes are decoded when they are first asked for.

        Raises:
            UnsupportedHeadError: if the output is not of the form above.
        """
        try:
            cls_logits, pairs = outputs
            buckets, offsets = zip(*pairs, strict=True)
        except (TypeError, ValueError):
            return super().__call__(outputs)
        return super().__call__((cls_logits, buckets, offsets))

    @property
    def _generator(self) -> Any:
        return self.head.square_anchor_generator

    @property
    def _widths(self) -> dict[str, int]:
        sides = 4 * self.head.side_num
        return {
            "class logits": self.head.cls_out_channels,
            "bucket logits": sides,
            "offsets": sides,
        }

    def _branches(self, outputs: Any) -> Branches:
        cls_logits, buckets, offsets = outputs
        regression = [torch.cat(pair, dim=1) for pair in zip(buckets, offsets, strict=True)]
        return cls_logits, regression, [self._confidence(level) for level in buckets]

    def _boxes(self, priors: Tensor, regression: Tensor, stride: float) -> Tensor:
        buckets, offsets = (half.contiguous() for half in regression.chunk(2, dim=1))
        boxes, _ = self.head.bbox_coder.decode(priors, [buckets, offsets])
        return get_box_tensor(boxes)

    def _confidence(self, buckets: Tensor) -> Tensor:
        """Logit [N, 1, H, W] of the mean over the sides of their bucket's probability.

        A side on the border of two buckets may be in either, so the second
        likeliest counts as well where it is a neighbour of the first.
        """
        count, _, height, width = buckets.shape
        sides = at_least_float32(buckets).reshape(count, 4, -1, height, width)
        probability = sides.softmax(dim=2)
        (first, second), (bucket, other) = (item.unbind(2) for item in probability.topk(2, dim=2))
        likely = first + second * ((bucket - other).abs() == 1)
        # A certain head is within rounding of 1, where the logit would be infinite.
        return likely.mean(dim=1, keepdim=True).logit(eps=1e-6)
