"""Classification probability, localization probability and harmony score.

Pure functions on tensors, after Tang et al., "Task-balanced distillation for
object detection", Pattern Recognition 137 (2023), arXiv 2208.03006. Inputs of
half precision are computed in float32; float64 stays float64.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from tbd.checks import check_choice, check_same_shape
from tbd.precision import at_least_float32

Norm = Literal["softmax", "peak", "sigmoid"]
"""How raw logits become a classification probability."""

Confidence = Literal["class", "ranking"]
"""Which logits do: those of the classes alone, or of the score that ranks predictions at NMS."""

IOU_EPS = 1e-6
"""Smallest union area in square pixels; keeps the IoU of two empty boxes at 0."""

_MAX_PAIRS = 1 << 20
"""Pairs of boxes compared at once, which bounds the memory of the search."""

_MAX_PAIRS_IN_CACHE = 1 << 16
"""Likewise on a CPU, whose cache holds as many."""


def check_norm(norm: str) -> Norm:
    """Return ``norm`` if it names a classification norm.

    Raises:
        ValueError: if it does not; the message lists those that exist.
    """
    check_choice(Norm, norm=norm)
    return norm  # type: ignore[return-value]


def check_confidence(confidence: str) -> Confidence:
    """Return ``confidence`` if it names a kind of confidence.

    Raises:
        ValueError: if it does not; the message lists those that exist.
    """
    check_choice(Confidence, confidence=confidence)
    return confidence  # type: ignore[return-value]


def classification_probability(
    cls_logits: Tensor, num_classes: int, norm: Norm = "softmax", *, background: bool = False
) -> Tensor:
    """Confidence of every prediction of one pyramid level.

    With m the largest foreground logit of a prediction:

    * ``"softmax"`` (the paper): softmax of m over all A·H·W predictions of the
      level of one image, so the probabilities of a level sum to 1;
    * ``"peak"``: the same divided by its maximum, so the top prediction has 1;
    * ``"sigmoid"``: sigmoid(m), or with ``background`` the largest foreground
      probability of the softmax over classes.

    Args:
        cls_logits: Raw logits [N, A·C, H, W], the anchor outermost in the
            channel axis; C is ``num_classes``, or one more with ``background``.
        num_classes: Number of foreground classes.
        norm: See above.
        background: The last of an anchor's channels is the background class of
            a softmax classifier.

    Returns:
        Probabilities [N, A, H, W] in [0, 1].

    Raises:
        ValueError: if ``norm`` is unknown or the channels are no multiple of C.
    """
    check_norm(norm)
    channels = cls_logits.shape[1]
    per_anchor = num_classes + int(background)
    if channels % per_anchor:
        raise ValueError(
            f"cls_logits have {channels} channels, which is no multiple of the {per_anchor} "
            f"channels of one anchor (num_classes={num_classes}, background={background})."
        )
    logits = cls_logits.unflatten(1, (-1, per_anchor))
    if norm == "sigmoid":
        if background:
            probability = at_least_float32(logits).softmax(dim=2)
            return probability[:, :, :num_classes].max(dim=2).values
        return at_least_float32(logits.max(dim=2).values).sigmoid()
    best = at_least_float32(logits[:, :, :num_classes].max(dim=2).values)
    flat = best.flatten(1)
    if norm == "softmax":
        return flat.softmax(dim=1).view_as(best)
    return (flat - flat.amax(dim=1, keepdim=True)).exp().view_as(best)


def localization_probability(boxes: Tensor, gt_boxes: Sequence[Tensor]) -> Tensor:
    """IoU of every predicted box with the ground truth that it covers best.

    The gradient flows to the boxes through the IoU with that ground truth
    alone, so the graph holds O(M) numbers instead of O(M·G).

    Args:
        boxes: Predicted boxes [N, M, 4], ``x1, y1, x2, y2`` in pixels.
        gt_boxes: For each of the N images its ground truth [G, 4] in the same
            coordinates; G may be 0.

    Returns:
        IoU [N, M] in [0, 1]; 0 on images without ground truth.

    Raises:
        ValueError: if the shapes are not as above.
    """
    if boxes.ndim != 3 or boxes.shape[-1] != 4:
        raise ValueError(f"boxes must be [N, M, 4], not {list(boxes.shape)}.")
    if len(gt_boxes) != len(boxes):
        raise ValueError(f"boxes hold {len(boxes)} images and gt_boxes {len(gt_boxes)}.")
    boxes = at_least_float32(boxes)
    per_image = []
    for predicted, gt in zip(boxes, gt_boxes, strict=True):
        if len(gt) == 0:
            per_image.append(predicted.new_zeros(len(predicted)))
            continue
        gt = gt.to(predicted)
        overlaps, best = _best_gt(predicted.detach(), gt)
        if predicted.device.type != "cpu":
            per_image.append(_aligned_iou(predicted, gt[best]))
            continue
        # Where there is no overlap, the gradient is 0 as well. A GPU would have to wait for where.
        near = overlaps.nonzero().squeeze(1)
        ious = _aligned_iou(predicted[near], gt[best[near]])
        per_image.append(overlaps.new_zeros(len(predicted)).index_copy(0, near, ious))
    return torch.stack(per_image)


@torch.no_grad()
def _best_gt(predicted: Tensor, gt: Tensor) -> tuple[Tensor, Tensor]:
    """Largest IoU of each box, and the ground truth that it is with."""
    pairs = _MAX_PAIRS_IN_CACHE if predicted.device.type == "cpu" else _MAX_PAIRS
    chunk = max(pairs // len(gt), 1)
    found = [_pairwise_iou(part, gt).max(dim=1) for part in predicted.split(chunk)]
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


def _pairwise_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU [M, G] of all pairs, in fewer and smaller passes than over pairs of corners."""
    overlap: Tensor | None = None
    for low, high in ((0, 2), (1, 3)):
        extent = torch.minimum(boxes[:, high, None], others[:, high])
        extent.sub_(torch.maximum(boxes[:, low, None], others[:, low])).clamp_(min=0)
        overlap = extent if overlap is None else overlap.mul_(extent)
    assert overlap is not None
    areas, other_areas = (
        (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in (boxes, others)
    )
    union = (areas[:, None] + other_areas).sub_(overlap).clamp_(min=IOU_EPS)
    return overlap.div_(union)


def _aligned_iou(boxes: Tensor, targets: Tensor) -> Tensor:
    left, top, right, bottom = boxes.unbind(1)
    target_left, target_top, target_right, target_bottom = targets.unbind(1)
    # Products of two: the gradient of prod goes a long way round where a factor is 0.
    intersection = _area(
        torch.maximum(left, target_left),
        torch.maximum(top, target_top),
        torch.minimum(right, target_right),
        torch.minimum(bottom, target_bottom),
    )
    union = _area(left, top, right, bottom) + _area(*targets.unbind(1)) - intersection
    return intersection / union.clamp(min=IOU_EPS)


def _area(left: Tensor, top: Tensor, right: Tensor, bottom: Tensor) -> Tensor:
    return (right - left).clamp(min=0) * (bottom - top).clamp(min=0)


def harmony_score(p_cls: Tensor, p_loc: Tensor) -> Tensor:
    """Agreement of classification and localization, HS = 1 − tanh(|p_loc − p_cls|).

    Args:
        p_cls: Classification probability in [0, 1], any shape.
        p_loc: Localization probability in [0, 1], the same shape.

    Returns:
        Harmony score of that shape, in [1 − tanh(1), 1].

    Raises:
        ValueError: if the shapes differ.
    """
    check_same_shape(p_cls=p_cls, p_loc=p_loc)
    return 1 - (p_loc - p_cls).abs().tanh()


@torch.no_grad()
def harmony_weight(p_loc_t: Tensor, p_cls_t: Tensor, p_cls_s: Tensor) -> Tensor:
    """Weight of each prediction in harmony distillation, a constant.

    psi = p_loc^t · sqrt(1 + |p_cls^t − p_cls^s|): well-placed boxes of the
    teacher, the more so where the student's confidence differs.

    Args:
        p_loc_t: Teacher's localization probability, any shape.
        p_cls_t: Teacher's classification probability, the same shape.
        p_cls_s: Student's classification probability, the same shape.

    Returns:
        psi of that shape, in [0, sqrt(2)], without gradient.

    Raises:
        ValueError: if the shapes differ.
    """
    check_same_shape(p_loc_t=p_loc_t, p_cls_t=p_cls_t, p_cls_s=p_cls_s)
    return p_loc_t * (1 + (p_cls_t - p_cls_s).abs()).sqrt()
