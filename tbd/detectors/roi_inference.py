"""The second stage of a two-stage detector, and what it predicts for given proposals."""

from collections.abc import Sequence

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.roi_heads import BaseRoIHead, CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from tbd.distill import RoISpec
from tbd.predictions import (
    RoIPredictions,
    UnsupportedHeadError,
    check_box_head,
    no_predictions,
    read_box_head,
)

_READABLE = (StandardRoIHead._bbox_forward, CascadeRoIHead._bbox_forward)


def inspect_roi_head(detector: BaseDetector) -> tuple[RoISpec | None, str]:
    """Describe a detector's second stage, or say why it cannot be distilled."""
    roi_head = getattr(detector, "roi_head", None)
    if roi_head is None:
        return None, f"{type(detector).__name__} has no roi_head."
    if getattr(type(roi_head), "_bbox_forward", None) not in _READABLE:
        return None, (
            f"{type(roi_head).__name__} feeds its box heads in a way of its own; RoI distillation "
            "reads StandardRoIHead, CascadeRoIHead and those of their kin that only add to them."
        )
    stages = roi_stages(roi_head)
    try:
        for _, box_head in stages:
            check_box_head(box_head)
    except UnsupportedHeadError as error:
        return None, str(error)
    return RoISpec(type(roi_head).__name__, int(stages[0][1].num_classes), len(stages)), ""


def roi_stages(roi_head: BaseRoIHead) -> list[tuple[nn.Module, BBoxHead]]:
    """RoI extractor and box head of each stage."""
    if isinstance(roi_head, CascadeRoIHead):
        return list(zip(roi_head.bbox_roi_extractor, roi_head.bbox_head, strict=True))
    return [(roi_head.bbox_roi_extractor, roi_head.bbox_head)]


@torch.no_grad()
def predict_rois(
    detector: BaseDetector,
    features: tuple[Tensor, ...],
    proposals: Sequence[Tensor],
    data_samples: Sequence[DetDataSample],
) -> tuple[RoIPredictions, ...]:
    """Predict classes and boxes for the proposals of each stage of another detector.

    A detector of as many stages answers stage by stage. Another one answers
    every time as it does at inference: with its only stage, or with its whole
    cascade (logits averaged over its stages, boxes of the last).

    Args:
        detector: Two-stage detector that :func:`inspect_roi_head` can describe.
        features: All levels of its neck [N, C, H, W].
        proposals: For each stage of the other detector, proposals [R, 5] in the
            order of the images.
        data_samples: The batch's samples, for the size of each image.

    Returns:
        Predictions for the proposals of each stage.
    """
    roi_head = detector.roi_head
    box_heads = [box_head for _, box_head in roi_stages(roi_head)]
    cascaded = isinstance(roi_head, CascadeRoIHead)
    results = []
    for stage, rois in enumerate(proposals):
        if len(rois) == 0:
            results.append(no_predictions(features[0], int(box_heads[0].num_classes)))
        elif cascaded and len(box_heads) != len(proposals):
            results.append(_whole_cascade(roi_head, features, rois, data_samples))
        else:
            found = roi_head._bbox_forward(*([stage] if cascaded else []), features, rois)
            output = found["cls_score"], found["bbox_pred"]
            results.append(read_box_head(box_heads[stage if cascaded else 0], rois, output))
    return tuple(results)


def _whole_cascade(
    roi_head: CascadeRoIHead,
    features: tuple[Tensor, ...],
    rois: Tensor,
    data_samples: Sequence[DetDataSample],
) -> RoIPredictions:
    counts = torch.bincount(rois[:, 0].long(), minlength=len(data_samples)).tolist()
    metas = [sample.metainfo for sample in data_samples]
    refined, logits, deltas = (
        torch.cat(per_image) for per_image in roi_head._refine_roi(features, rois, metas, counts)
    )
    return read_box_head(roi_head.bbox_head[-1], refined, (logits, deltas))
