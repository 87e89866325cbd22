"""A two-stage detector as a graph: region proposals, RoI features and box heads."""

from collections.abc import Callable
from typing import Any

import torch
from mmcv.ops import RoIAlign
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor, nn
from torchvision.ops import roi_align

from tbd.engine.deployment.dense_graph import level_scores, no_padding
from tbd.engine.deployment.limits import UnexportableError, read_limits
from tbd.engine.deployment.postprocessing import (
    Candidates,
    Suppression,
    best_pairs,
    clip,
    join,
    without_small,
)
from tbd.precision import at_least_float32
from tbd.predictions import build_adapter, check_box_head


class TwoStageGraph(nn.Module):
    """Backbone, neck, RPN with its suppression, RoIAlign and box head.

    The stages of a cascade follow one another: each refines the boxes of the one before, the last
    one's boxes count, and the logits of all are averaged.

    Args:
        detector: Faster R-CNN, Cascade R-CNN or their kin, in eval mode.

    Raises:
        UnexportableError: if its second stage is not box heads on the features of single levels.
        UnsupportedHeadError: if its RPN or box head cannot be read.

    Attributes:
        pad: See :class:`~tbd.engine.deployment.dense_graph.DenseGraph`.
    """

    dynamic = True

    def __init__(self, detector: TwoStageDetector) -> None:
        super().__init__()
        self._stages = _stages(detector.roi_head)
        self.detector = detector
        self.pad: Callable[[Tensor], Tensor] = no_padding
        rpn = detector.rpn_head
        self._proposals_of = build_adapter(rpn)
        limits = read_limits(rpn.test_cfg, "model.test_cfg.rpn", 1000)
        self._nms_pre = int(rpn.test_cfg.get("nms_pre", -1))
        self._smallest = float(rpn.test_cfg.get("min_bbox_size", -1))
        self._suppress = Suppression(limits.iou_threshold, limits.max_per_img)
        self.limits = read_limits(detector.roi_head.test_cfg, "model.test_cfg.rcnn")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict.

        Returns:
            Boxes [N, P, C, 4] of P proposals, one for each class ([N, P, 4] where the box head
            regresses one for all), clipped, and scores [N, P, C], 0 where there is no proposal.
        """
        features = tuple(self.detector.extract_feat(self.pad(images)))
        proposals, found = self._propose(features, images)
        rois = _as_rois(proposals)
        logits = []
        for extractor, head in self._stages[:-1]:
            stage_logits, deltas = head(_pool(extractor, features, rois))
            logits.append(at_least_float32(stage_logits))
            rois = _refine(head, rois, logits[-1], deltas, images)
        extractor, head = self._stages[-1]
        stage_logits, deltas = head(_pool(extractor, features, rois))
        logits.append(at_least_float32(stage_logits))
        scores = torch.stack(logits).mean(dim=0).softmax(dim=-1)[:, :-1]
        images_and_proposals = proposals.shape[0], proposals.shape[1]
        scores = scores.reshape(*images_and_proposals, -1) * found.unsqueeze(-1)
        classes = 1 if head.reg_class_agnostic else int(head.num_classes)
        boxes = clip(_decode(head, rois, deltas).reshape(proposals.shape[0], -1, 4), images)
        if classes > 1:
            boxes = boxes.reshape(*images_and_proposals, classes, 4)
        return boxes, scores

    def _propose(self, features: tuple[Tensor, ...], images: Tensor) -> tuple[Tensor, Tensor]:
        """Proposals [N, P, 4], and which of them there are [N, P], as numbers."""
        predictions = self._proposals_of(self.detector.rpn_head(features))
        levels = []
        for index, (boxes, level) in enumerate(
            zip(predictions.boxes, level_scores(predictions), strict=True)
        ):
            best = best_pairs(clip(boxes, images), level.ranking, level.ranking, 0.0, self._nms_pre)
            levels.append(Candidates(best.boxes, best.scores, torch.full_like(best.groups, index)))
        boxes, scores, _ = self._suppress(without_small(join(levels), self._smallest))
        return boxes, (scores > 0).to(scores)


class TwoStageDetections(nn.Module):
    """The detections of a :class:`TwoStageGraph`, by ``model.test_cfg.rcnn``."""

    def __init__(self, graph: TwoStageGraph) -> None:
        super().__init__()
        self.graph = graph
        self.limits = graph.limits
        self._suppress = Suppression(
            self.limits.iou_threshold, self.limits.max_per_img, self.limits.class_agnostic
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect; see :meth:`tbd.engine.deployment.postprocessing.Suppression.forward`."""
        boxes, scores = self.graph(images)
        if boxes.dim() == 4:
            candidates = one_box_a_class(boxes, scores, self.limits.score_thr)
        else:
            candidates = best_pairs(boxes, scores, scores, self.limits.score_thr, limit=-1)
        return self._suppress(candidates)


def one_box_a_class(boxes: Tensor, scores: Tensor, threshold: float) -> Candidates:
    """Let all boxes [N, P, C, 4] compete whose score [N, P, C] is above the threshold."""
    labels = torch.arange(scores.shape[2], device=scores.device).expand(scores.shape)
    scores = torch.where(scores > threshold, scores, 0.0)
    return Candidates(boxes.flatten(1, 2), scores.flatten(1), labels.flatten(1))


def _stages(roi_head: Any) -> list[tuple[SingleRoIExtractor, ConvFCBBoxHead]]:
    """RoI extractor and box head of each stage."""
    forward = type(roi_head)._bbox_forward
    if forward not in (StandardRoIHead._bbox_forward, CascadeRoIHead._bbox_forward):
        raise UnexportableError(
            f"{type(roi_head).__name__} feeds its box heads in a way of its own; of two-stage "
            "detectors those are exported that have a StandardRoIHead, as Faster R-CNN has, or a "
            "CascadeRoIHead, as Cascade R-CNN has."
        )
    cascaded = forward is CascadeRoIHead._bbox_forward
    heads = list(roi_head.bbox_head) if cascaded else [roi_head.bbox_head]
    extractors = list(roi_head.bbox_roi_extractor) if cascaded else [roi_head.bbox_roi_extractor]
    for extractor, head in zip(extractors, heads, strict=True):
        check_box_head(head)
        if roi_head.with_shared_head or not isinstance(head, ConvFCBBoxHead):
            raise UnexportableError(
                f"{type(head).__name__} behind a shared head is not exported; the box head of "
                "Faster R-CNN with FPN (Shared2FCBBoxHead) is."
            )
        aligned = all(isinstance(layer, RoIAlign) for layer in extractor.roi_layers)
        if type(extractor) is not SingleRoIExtractor or not aligned:
            raise UnexportableError(
                f"{type(extractor).__name__} is not exported; SingleRoIExtractor with RoIAlign is."
            )
    return list(zip(extractors, heads, strict=True))


def _decode(head: ConvFCBBoxHead, rois: Tensor, deltas: Tensor) -> Tensor:
    """Boxes [R·C, 4] of RoIs [R, 5], C for each."""
    classes = 1 if head.reg_class_agnostic else int(head.num_classes)
    repeated = rois[:, 1:].unsqueeze(1).expand(-1, classes, 4).flatten(0, 1)
    return head.bbox_coder.decode(repeated, at_least_float32(deltas).view(-1, 4))


def _refine(
    head: ConvFCBBoxHead, rois: Tensor, logits: Tensor, deltas: Tensor, images: Tensor
) -> Tensor:
    """The RoIs of the next stage [R, 5]: the boxes of the likeliest class, background aside."""
    boxes = _decode(head, rois, deltas)
    if not head.reg_class_agnostic:
        likeliest = logits[:, :-1].argmax(dim=1).view(-1, 1, 1).expand(-1, 1, 4)
        boxes = boxes.view(-1, int(head.num_classes), 4).gather(1, likeliest).squeeze(1)
    return torch.cat([rois[:, :1], clip(boxes.unsqueeze(0), images).squeeze(0)], dim=1)


def _as_rois(proposals: Tensor) -> Tensor:
    """Boxes [N, P, 4] as RoIs [N·P, 5], the first column the index of the image."""
    image = torch.arange(proposals.shape[0], device=proposals.device).to(proposals)
    image = image.view(-1, 1, 1).expand(-1, proposals.shape[1], 1)
    return torch.cat([image, proposals], dim=2).flatten(0, 1)


def _pool(extractor: SingleRoIExtractor, features: tuple[Tensor, ...], rois: Tensor) -> Tensor:
    """RoI features [R, C, height, width], each of the level that the RoI's size asks for."""
    count = extractor.num_inputs
    levels = extractor.map_roi_levels(rois, count)
    pooled = []
    for index, layer in enumerate(extractor.roi_layers):
        level = features[index]
        here = (levels == index).unsqueeze(1)
        # The RoIs of other levels shrink to a point, which costs next to nothing.
        own = torch.cat([rois[:, :1], torch.where(here, rois[:, 1:], 0.0)], dim=1)
        values = roi_align(
            level,
            own.to(level.dtype),
            layer.output_size,
            layer.spatial_scale,
            layer.sampling_ratio,
            layer.aligned,
        )
        pooled.append(torch.where(here.view(-1, 1, 1, 1), values, torch.zeros_like(values)))
    return torch.stack(pooled).sum(dim=0)
