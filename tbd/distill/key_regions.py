"""Where the predictions come from by which a detector finds each object."""

from dataclasses import dataclass

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from tbd.distill.locations import by_level, location_centers
from tbd.distill.spec import DetectorSpec
from tbd.distill.view import View
from tbd.predictions import binary_class_rows

SPREAD = 0.1**2 / 12
"""Least variance of a region in square pixels, that of a uniform jitter of ±0.05 pixels."""


@dataclass(frozen=True)
class KeyRegions:
    """Weights of the locations of a pyramid.

    Attributes:
        weights: Per level [N, H, W]: how near a location is to those of the
            best predictions of an object that it lies in, in [0, 1].
        background: Per level [N, H, W]: 1 where a location lies in no object and no
            ignored region.
    """

    weights: tuple[Tensor, ...]
    background: tuple[Tensor, ...]


def prediction_quality(probability: Tensor, iou: Tensor, exponent: float) -> Tensor:
    """p^(1−ξ) · IoU^ξ: how well a prediction finds an object.

    Yang et al., "PGD" (arXiv 2203.05469), its quality score.

    Args:
        probability: Probability of the object's class, in [0, 1], any shape.
        iou: IoU of the predicted box with the object, the same shape.
        exponent: The ξ, in [0, 1].

    Returns:
        The quality, in [0, 1], the same shape.
    """
    return probability ** (1 - exponent) * iou**exponent


def region_weights(points: Tensor, quality: Tensor, boxes: Tensor, top_k: int) -> Tensor:
    """Weigh locations by Gaussians around those of the best predictions of each object.

    For each object, a Gaussian is fitted by maximum likelihood to the positions
    of the K locations of the highest quality, on all levels together. Those K
    have its density, relative to its peak, as their weight, all others 0, as do
    those outside of the object's box. Where objects overlap, the largest weight
    counts.

    Args:
        points: Centres of the M locations [M, 2] as x, y in pixels.
        quality: Quality of the prediction of each location for each object [M, G].
        boxes: The objects [G, 4].
        top_k: The K, at least 1; fewer locations are all taken.

    Returns:
        Weights [M] in [0, 1].
    """
    weights = points.new_zeros(len(points))
    if len(boxes) == 0:
        return weights
    best = quality.topk(min(top_k, len(points)), dim=0).indices
    # In double precision, since positions may lie almost on a line.
    centred = points.double()[best]
    centred = centred - centred.mean(dim=0)
    variance = centred.square().mean(dim=0) + SPREAD
    covariance = centred.prod(dim=2).mean(dim=0)
    x, y = centred.unbind(dim=2)
    distance = variance[:, 1] * x**2 - 2 * covariance * x * y + variance[:, 0] * y**2
    distance = distance / (variance.prod(dim=1) - covariance**2)
    density = torch.exp(-distance / 2).to(weights.dtype)
    density = density * _lies_inside(points, boxes).gather(0, best)
    return weights.scatter_reduce(0, best.flatten(), density.flatten(), "amax")


def key_regions(view: View, spec: DetectorSpec, exponent: float, top_k: int) -> KeyRegions:
    """Key regions of a view's dense predictions, found once per step.

    Args:
        view: A view with predictions; the labels of its ground truth are
            classes of its head.
        spec: Describes its detector, with the levels that the view shows.
        exponent: The ξ of :func:`prediction_quality`.
        top_k: See :func:`region_weights`.
    """
    predictions = view.predictions
    assert predictions is not None
    assert spec.head is not None
    offset = spec.head.prior_offset
    strides = spec.prior_strides

    @torch.no_grad()
    def make() -> KeyRegions:
        sizes = [(level.shape[2], level.shape[3]) for level in predictions.cls_logits]
        points = torch.cat(
            location_centers(sizes, strides, offset, predictions.cls_logits[0].device)
        )
        counts = [height * width for height, width in sizes]
        logits = [binary_class_rows(predictions, level) for level in range(len(sizes))]
        weights, background = [], []
        for image, (boxes, labels, occupied) in enumerate(
            zip(view.gt.boxes, view.gt.labels, view.gt.occupied(), strict=True)
        ):
            boxes = boxes.to(points)
            quality = torch.cat(
                [
                    _best_of_anchors(rows[image], level[image], boxes, labels, count, exponent)
                    for rows, level, count in zip(logits, predictions.boxes, counts, strict=True)
                ]
            )
            weights.append(region_weights(points, quality, boxes, top_k))
            inside = _lies_inside(points, occupied.to(points))
            background.append(
                1 - inside.amax(dim=1) if len(occupied) else inside.new_ones(len(points))
            )
        return KeyRegions(by_level(weights, sizes), by_level(background, sizes))

    return view.cached(("key_regions", strides, offset, exponent, top_k), make)


def _best_of_anchors(
    logits: Tensor, boxes: Tensor, objects: Tensor, labels: Tensor, count: int, exponent: float
) -> Tensor:
    """Quality of each location for each object [H·W, G], that of its best anchor."""
    probability = logits.sigmoid()[:, labels]
    iou = bbox_overlaps(boxes.detach().to(objects), objects)
    quality = prediction_quality(probability, iou, exponent)
    return quality.unflatten(0, (count, -1)).amax(dim=1)


def _lies_inside(points: Tensor, boxes: Tensor) -> Tensor:
    """1 where a location lies inside an object [M, G]."""
    low, high = points[:, None] > boxes[:, :2], points[:, None] < boxes[:, 2:]
    return (low & high).all(dim=2).to(points)
