"""A one-stage detector as a graph: every dense head that an adapter of tbd reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from mmdet.models.dense_heads import (
    CenterNetHead,
    FoveaHead,
    PAAHead,
    SABLRetinaHead,
    TOODHead,
    YOLACTHead,
    YOLOV3Head,
    YOLOXHead,
)
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors.base import BaseDetector
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from tbd.engine.deployment.limits import Limits, UnexportableError, read_limits
from tbd.engine.deployment.postprocessing import (
    Candidates,
    Suppression,
    best_pairs,
    clip,
    join,
    without_small,
)
from tbd.predictions import (
    DensePredictions,
    build_adapter,
    class_rows,
    find_dense_head,
    prediction_rows,
)

# With YOLOX, whose config names no number.
_USUAL_LIMIT = 300


@dataclass(frozen=True)
class LevelScores:
    """Probabilities [N, M, C] of one level.

    Attributes:
        classes: Of the classes alone.
        quality: What a branch thinks of the box [N, M, 1], or None.
        ranking: What predictions are ranked by.
    """

    classes: Tensor
    quality: Tensor | None
    ranking: Tensor


def level_scores(predictions: DensePredictions) -> list[LevelScores]:
    """Probabilities of every level, rows in the order of the boxes."""
    found = []
    for level in range(len(predictions.cls_logits)):
        rows = class_rows(predictions, level)
        classes = rows.softmax(dim=-1)[..., :-1] if predictions.background else rows.sigmoid()
        quality, ranking = None, classes
        if predictions.quality is not None:
            quality = prediction_rows(predictions.quality[level], 1).sigmoid()
            ranking = (classes * quality) ** predictions.quality_exponent
        found.append(LevelScores(classes, quality, ranking))
    return found


def no_padding(images: Tensor) -> Tensor:
    """Leave images as they are."""
    return images


class DenseGraph(nn.Module):
    """Backbone, neck, dense head, and the adapter that makes boxes and scores of its output.

    Args:
        detector: A one-stage detector in eval mode.

    Raises:
        UnsupportedHeadError: if no adapter reads its head.

    Attributes:
        pad: What is done to the images before the detector sees them; what it adds is no part of
            them.
    """

    dynamic = True

    def __init__(self, detector: BaseDetector) -> None:
        super().__init__()
        _, head = find_dense_head(detector)
        self._adapter = build_adapter(head)
        self._head = head
        self.detector = detector
        self.pad: Callable[[Tensor], Tensor] = no_padding
        # Without suppression of its own a graph leaves the choice to its caller, who needs numbers
        # even where MMDetection chooses in another way.
        cfg = head.test_cfg or {}
        nms = cfg.get("nms") or {}
        limit = int(cfg.get("max_per_img", -1))
        self.limits = Limits(
            float(cfg.get("score_thr", 0.0)),
            float(nms.get("iou_threshold", 0.5)),
            limit if limit > 0 else _USUAL_LIMIT,
            bool(nms.get("class_agnostic", False)),
        )

    def predict(self, images: Tensor) -> DensePredictions:
        """Run the detector on normalised images [N, 3, H, W]."""
        return self._adapter(self._head(tuple(self.detector.extract_feat(self.pad(images)))))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict.

        Returns:
            Boxes [N, M, 4] of all levels in pixels of the input, clipped to it where the head does
            so before suppression, and the scores [N, M, C] that rank them.
        """
        predictions = self.predict(images)
        scores = [level.ranking for level in level_scores(predictions)]
        return torch.cat(self.placed(predictions, images), dim=1), torch.cat(scores, dim=1)

    def placed(self, predictions: DensePredictions, images: Tensor) -> list[Tensor]:
        """Boxes of every level as they compete in suppression, for images [N, 3, H, W]."""
        boxes = list(predictions.boxes)
        # These heads place boxes without regard to the image's border.
        if isinstance(self._head, TOODHead | YOLOXHead | YOLOV3Head | CenterNetHead):
            return boxes
        # The decoders of these two, unlike all others, clip to the last pixel.
        border = 1 if isinstance(self._head, SABLRetinaHead | FoveaHead) else 0
        return [clip(level, images, border) for level in boxes]


class DenseDetections(nn.Module):
    """The detections of a :class:`DenseGraph`, by the thresholds of the detector's ``test_cfg``.

    Raises:
        UnexportableError: if the head makes detections of its predictions in a way of its own.
    """

    def __init__(self, graph: DenseGraph) -> None:
        super().__init__()
        head = graph._head
        _check_postprocessing(head)
        self.graph = graph
        self._head = head
        self._smallest = float(head.test_cfg.get("min_bbox_size", -1))
        self.limits = self._read_limits(head)
        self._suppress = Suppression(
            self.limits.iou_threshold, self.limits.max_per_img, self.limits.class_agnostic
        )
        self._nms_pre = int(head.test_cfg.get("nms_pre", -1))

    @staticmethod
    def _read_limits(head: BaseDenseHead) -> Limits:
        if isinstance(head, CenterNetHead):
            return Limits(0.0, None, int(head.test_cfg.topk))
        return read_limits(head.test_cfg, "model.test_cfg", _USUAL_LIMIT)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect; see :meth:`tbd.engine.deployment.postprocessing.Suppression.forward`."""
        return self.detect(self.graph.predict(images), images)

    def detect(
        self, predictions: DensePredictions, images: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Choose detections among predictions of a head like this one, for images [N, 3, H, W]."""
        levels = level_scores(predictions)
        boxes = self.graph.placed(predictions, images)
        candidates = self._candidates(predictions, boxes, levels)
        return self._suppress(without_small(candidates, self._smallest))

    def _candidates(
        self, predictions: DensePredictions, boxes: Sequence[Tensor], levels: list[LevelScores]
    ) -> Candidates:
        threshold, head = self.limits.score_thr, self._head
        if isinstance(head, CenterNetHead):
            peaks = _peaks(levels[0].classes, predictions.cls_logits[0], head)
            return best_pairs(boxes[0], peaks, peaks, threshold, self.limits.max_per_img)
        if isinstance(head, YOLOXHead):
            scores, labels = torch.cat([level.ranking for level in levels], dim=1).max(dim=2)
            scores = torch.where(scores >= threshold, scores, 0.0)
            return Candidates(torch.cat(list(boxes), dim=1), scores, labels)
        if isinstance(head, YOLOV3Head):
            smallest = float(head.test_cfg.get("conf_thr", -1))
            levels = [_confident(level, smallest) for level in levels]
            return best_pairs(
                torch.cat(list(boxes), dim=1),
                torch.cat([level.classes for level in levels], dim=1),
                torch.cat([level.ranking for level in levels], dim=1),
                threshold,
                self._nms_pre,
            )
        return join(
            [
                best_pairs(level_boxes, level.classes, level.ranking, threshold, self._nms_pre)
                for level_boxes, level in zip(boxes, levels, strict=True)
            ]
        )


def _check_postprocessing(head: BaseDenseHead) -> None:
    name = type(head).__name__
    if isinstance(head, PAAHead) and getattr(head, "with_score_voting", True):
        raise UnexportableError(
            f"{name} moves every detection to a vote of its neighbours (score voting), which "
            "ONNX's NonMaxSuppression has no form for. Set model.bbox_head.score_voting=False, or "
            "export without --end-to-end."
        )
    known = isinstance(head, YOLOXHead | PAAHead) and not isinstance(head, YOLACTHead)
    if not known and type(head)._bbox_post_process is not BaseDenseHead._bbox_post_process:
        raise UnexportableError(
            f"{name} chooses its detections in a way of its own, which is not ONNX's "
            "NonMaxSuppression. Export without --end-to-end."
        )


def _peaks(heatmap: Tensor, like: Tensor, head: CenterNetHead) -> Tensor:
    """Scores [N, M, C] of cells that no neighbour exceeds, 0 elsewhere."""
    kernel = int(head.test_cfg.local_maximum_kernel)
    maps = heatmap.transpose(1, 2).reshape(like.shape)
    largest = max_pool2d(maps, kernel, stride=1, padding=(kernel - 1) // 2)
    return prediction_rows(torch.where(largest == maps, maps, 0.0), like.shape[1])


def _confident(level: LevelScores, threshold: float) -> LevelScores:
    if level.quality is None or threshold <= 0:
        return level
    classes = torch.where(level.quality >= threshold, level.classes, 0.0)
    return LevelScores(classes, level.quality, level.ranking)
