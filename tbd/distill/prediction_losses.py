"""Differences between single predictions of two heads, for every term that compares them."""

from typing import Literal

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div

from tbd.checks import check_not_negative, check_positive, check_same_shape
from tbd.precision import at_least_float32

EPS = 1e-6
"""Smallest union area of two boxes in square pixels."""

BoxOverlap = Literal["iou", "giou"]
"""Which overlap of two boxes: IoU, or generalized IoU."""


def softmax_divergence(logits_s: Tensor, logits_t: Tensor, temperature: float) -> Tensor:
    """Summands T²·q·log(q / p) of a divergence, q = softmax(teacher / T), p = softmax(student / T).

    Args:
        logits_s: Student's logits [rows, classes].
        logits_t: Teacher's logits [rows, classes]; a constant.
        temperature: The T, positive.

    Returns:
        One number for each logit [rows, classes].

    Raises:
        ValueError: if the shapes differ or the temperature is not positive.
    """
    check_same_shape(logits_s=logits_s, logits_t=logits_t)
    check_positive(temperature=temperature)
    student, teacher = (
        (at_least_float32(logits) / temperature).log_softmax(dim=1)
        for logits in (logits_s, logits_t.detach())
    )
    return temperature**2 * kl_div(student, teacher, reduction="none", log_target=True)


def bin_distribution_loss(logits_s: Tensor, logits_t: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's distributions over bins from the teacher's.

    T²·mean_bins q·log(q / p), q = softmax(teacher / T), p = softmax(student / T);
    Zheng et al., "Localization Distillation" (arXiv 2102.12252), eq. 2 and 3. The mean
    over the bins, where the divergence proper is their sum, is that of the
    authors' code, with which their weights were chosen.

    Args:
        logits_s: Student's logits [rows, bins].
        logits_t: Teacher's logits [rows, bins]; a constant.
        temperature: The T, positive.

    Returns:
        One number for each row [rows], not negative.

    Raises:
        ValueError: if the shapes differ or the temperature is not positive.
    """
    return softmax_divergence(logits_s, logits_t, temperature).mean(dim=1)


def quality_focal_distillation_loss(logits_s: Tensor, logits_t: Tensor, beta: float) -> Tensor:
    """Cross-entropy with the teacher's probability, weighted by how far the two are apart.

    BCE(σ(s), σ(t))·|σ(s) − σ(t)|^β. It is Quality Focal Loss (Li et al., arXiv
    2006.04388) with the teacher's score as the quality. The weight
    carries a gradient, as it does there.

    Args:
        logits_s: Student's logits, any shape.
        logits_t: Teacher's logits, the same shape; a constant.
        beta: The β, not negative; 0 leaves the plain cross-entropy.

    Returns:
        One number for each logit, the same shape, not negative.

    Raises:
        ValueError: if the shapes differ or ``beta`` is negative.
    """
    check_same_shape(logits_s=logits_s, logits_t=logits_t)
    return quality_focal_loss(logits_s, at_least_float32(logits_t.detach()).sigmoid(), beta)


def quality_focal_loss(logits: Tensor, target: Tensor, beta: float) -> Tensor:
    """Cross-entropy with a probability, weighted by how far the prediction is from it.

    BCE(σ(x), q)·|σ(x) − q|^β, Quality Focal Loss (Li et al., arXiv 2006.04388).

    Args:
        logits: The x, any shape.
        target: The q, the same shape, in [0, 1]; a constant.
        beta: The β, not negative; 0 leaves the plain cross-entropy.

    Returns:
        One number for each logit, the same shape, not negative.

    Raises:
        ValueError: if the shapes differ or ``beta`` is negative.
    """
    check_same_shape(logits=logits, target=target)
    check_not_negative(beta=beta)
    logits, target = at_least_float32(logits), at_least_float32(target.detach())
    loss = binary_cross_entropy_with_logits(logits, target, reduction="none")
    if beta == 0:
        return loss
    difference = (logits.sigmoid() - target).abs()
    # With β < 1 the root of 0 has an infinite gradient.
    apart = difference > 0
    return loss * torch.where(apart, torch.where(apart, difference, 1.0).pow(beta), 0.0)


def box_overlap_loss(
    boxes_s: Tensor, boxes_t: Tensor, mode: Literal["iou", "giou", "log_iou"]
) -> Tensor:
    """One minus the IoU, or generalized IoU, of the boxes of each row; or −log of the IoU.

    Args:
        boxes_s: Student's boxes [rows, 4] as ``x1, y1, x2, y2``.
        boxes_t: Teacher's boxes [rows, 4]; a constant.
        mode: ``"iou"``, ``"giou"`` (Rezatofighi et al., arXiv 1902.09630) or
            ``"log_iou"`` (Yu et al., "UnitBox", arXiv 1608.01471), of an IoU of at
            least 1e-6, below which there is no gradient.

    Returns:
        One number for each row [rows], from 0 to 1, 2 or 13.8. A box whose right or
        lower side lies before the other, as heads of unbounded distances predict it,
        overlaps nothing.

    Raises:
        ValueError: if the shapes differ.
    """
    check_same_shape(boxes_s=boxes_s, boxes_t=boxes_t)
    boxes = [at_least_float32(boxes_s), at_least_float32(boxes_t.detach())]
    if mode == "giou":
        boxes = [_of_no_area(side) for side in boxes]
    overlaps = bbox_overlaps(
        *boxes, mode="giou" if mode == "giou" else "iou", is_aligned=True, eps=EPS
    )
    return -overlaps.clamp(min=EPS).log() if mode == "log_iou" else 1 - overlaps


def _of_no_area(boxes: Tensor) -> Tensor:
    """Turn boxes [rows, 4] that are inside out in both directions, inside out in one only.

    The product of two negative extents is an area, for which GIoU would have no bound.
    """
    left, top, right, bottom = boxes.unbind(dim=1)
    inside_out = (right < left) & (bottom < top)
    sides = torch.where(inside_out, right, left), torch.where(inside_out, left, right)
    return torch.stack([sides[0], top, sides[1], bottom], dim=1)
