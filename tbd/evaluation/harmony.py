"""How well the final detections' scores agree with their localization."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.structures.bbox import get_box_tensor
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get_local_path
from mmengine.logging import print_log
from pycocotools.coco import COCO

from tbd.evaluation.agreement import measure_agreement
from tbd.evaluation.average_precision import Matches, average_precision, match_detections
from tbd.evaluation.dense_summary import DenseSummary, measure_summaries
from tbd.evaluation.overlaps import box_overlaps, with_extent
from tbd.registry import METRICS

DENSE_KEY = "dense_harmony"
"""Field of a data sample that holds its :class:`DenseSummary`."""


@dataclass(frozen=True)
class GroundTruth:
    """Ground truth of one image.

    Attributes:
        boxes: Boxes [G, 4], float64, as ``x, y, width, height`` in pixels of the original image.
        labels: Class indices [G].
        crowd: Which boxes are ignored regions [G], bool.
    """

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray


@dataclass(frozen=True)
class ImageRecord:
    """What the metric keeps of one image: 22 bytes per detection.

    Attributes:
        image_id: Id of the image.
        scores: Scores of the detections [D], float32.
        labels: Their class indices [D], int16.
        ious: Their best IoUs, with ground truth of any class or of their own [D], float32.
        own_ious: Their best IoUs with ground truth of their class [D], float32.
        by_score: Their matches when they are ranked by score.
        by_iou: Their matches when they are ranked by ``own_ious``.
        positives: Class indices of the ground truth, crowds left out, int16.
        dense: Summary of the dense predictions, if asked for.
    """

    image_id: int | str
    scores: np.ndarray
    labels: np.ndarray
    ious: np.ndarray
    own_ious: np.ndarray
    by_score: Matches
    by_iou: Matches
    positives: np.ndarray
    dense: DenseSummary | None


@METRICS.register_module()
class HarmonyMetric(BaseMetric):
    """Agreement of score and localization of the detections that a detector would show.

    A detection of score s whose best IoU with the image's ground truth is u has the harmony score
    ``1 − tanh(|u − s|)`` (Tang et al., arXiv 2208.03006): 1 where the score says exactly how well
    the box fits. Ignored regions (``iscrowd``) count as background.

    Reports, over the detections whose score reaches ``score_thr``:

    * ``harmony_score``: the mean harmony score, in (0, 1], and ``num_detections``;
    * ``harmonious``: the share of detections with |u − s| ≤ 0.1;
    * ``pearson``, ``spearman``: correlation of s and u;
    * ``calibration_error``: expected IoU calibration error, over ten bins of the score;
    * ``mean_confidence``, ``mean_iou``: means of s and of u;
    * ``iou_0.00_0.50``, ``iou_0.50_0.75``, ``iou_0.75_0.90``, ``iou_0.90_1.00``: shares of u;

    and over all detections, whatever their score and always by class:

    * ``ap``: COCO's AP, ``bbox_mAP`` of CocoMetric before it is rounded;
    * ``oracle_ap``: AP of the same boxes and classes ranked by their IoU with the best ground
      truth of their class;
    * ``ap_lost``: ``oracle_ap − ap``, what the ranking by score costs.

    A value that does not exist (a correlation with a constant, an AP without ground truth) is left
    out, with a warning; ``harmony_score`` without any detection is reported as 0, which no
    detection can have.

    With ``dense=True`` and a ``tbd.DensePredictionsHook`` beside it, the first group is also
    reported over the predictions of the dense head before NMS, with the prefix ``dense_``.

    Without ``ann_file`` the test pipeline has to load the boxes, and after the resizing, so that
    predictions and ground truth are both in the pixels of the original image.

    Args:
        score_thr: Smallest score of a detection that counts, in [0, 1].
        class_aware: Take u with ground truth of the detection's class only, instead of any class.
        dense: Report the dense predictions too.
        ann_file: Annotations in COCO's format to take the ground truth from, as for CocoMetric.
            Default: the samples' own. The two can differ where a data set drops annotations, as
            MMDetection's CocoDataset does with boxes of less than a pixel.
        backend_args: Storage of ``ann_file``, as for CocoMetric.
        collect_device: Where results of several processes are gathered, ``"cpu"`` or ``"gpu"``.
        prefix: Replaces ``harmony`` in the names of the reported values.

    Raises:
        ValueError: ``score_thr`` is outside [0, 1], the samples hold no ground truth, or the
            class lists of data set and annotations differ.
    """

    default_prefix = "harmony"

    def __init__(
        self,
        score_thr: float = 0.3,
        class_aware: bool = False,
        dense: bool = False,
        ann_file: str | None = None,
        backend_args: dict[str, Any] | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not 0 <= score_thr <= 1:
            raise ValueError(f"HarmonyMetric: score_thr must be in [0, 1], but is {score_thr}.")
        self.score_thr = score_thr
        self.class_aware = class_aware
        self.dense = dense
        self._ann_file = ann_file
        self._coco: COCO | None = None
        self._labels: dict[int, int] = {}
        if ann_file is not None:
            with get_local_path(ann_file, backend_args=backend_args) as path:
                self._coco = COCO(path)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Match the detections of every image: one record per image, even an empty one.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_instances`` and ground truth, as dicts.
        """
        # Gathering over processes cuts the records down to the number of images, so an image
        # must not be left out, and not be spread over several records.
        for sample in data_samples:
            self.results.append(self._record(sample))

    def compute_metrics(self, results: list[ImageRecord]) -> dict[str, float]:
        """Reduce the records of all images to the reported values."""
        # COCO's order, which decides between detections of equal score.
        records = sorted(results, key=lambda record: record.image_id)
        values: dict[str, float | None] = {**self._agreement(records), **self._precision(records)}
        if self.dense:
            values.update(self._dense_agreement(records))
        missing = [name for name, value in values.items() if value is None]
        if missing:
            _warn(f"{', '.join(missing)} not reported: a value without any spread, or no data.")
        return {name: value for name, value in values.items() if value is not None}

    def _record(self, sample: Mapping[str, Any]) -> ImageRecord:
        predictions = sample["pred_instances"]
        corners = get_box_tensor(predictions["bboxes"]).detach().cpu().numpy()
        scores = predictions["scores"].detach().cpu().numpy().astype(np.float32)
        labels = predictions["labels"].detach().cpu().numpy()
        self._check_labels(labels)
        truth = self._ground_truth(sample)
        overlaps = box_overlaps(with_extent(corners), truth.boxes, truth.crowd)
        proper = np.where(truth.crowd, 0.0, overlaps)
        own_class = np.where(labels[:, None] == truth.labels, proper, 0.0)
        own_ious = own_class.max(axis=1, initial=0).astype(np.float32)
        any_ious = proper.max(axis=1, initial=0).astype(np.float32)
        matching = (labels, overlaps, truth.labels, truth.crowd)
        return ImageRecord(
            image_id=sample.get("img_id", 0),
            scores=scores,
            labels=labels.astype(np.int16),
            ious=own_ious if self.class_aware else any_ious,
            own_ious=own_ious,
            by_score=match_detections(scores, *matching),
            by_iou=match_detections(own_ious, *matching),
            positives=truth.labels[~truth.crowd].astype(np.int16),
            dense=self._dense_summary(sample) if self.dense else None,
        )

    def _ground_truth(self, sample: Mapping[str, Any]) -> GroundTruth:
        if self._coco is not None:
            return self._annotated(self._coco, sample["img_id"])
        if "bboxes" not in sample.get("gt_instances", ()):
            raise ValueError(
                "HarmonyMetric needs the ground truth, but the samples hold none: add "
                'dict(type="LoadAnnotations", with_bbox=True) to the test pipeline, '
                "after Resize, or set ann_file of the metric."
            )
        parts = [sample["gt_instances"], sample.get("ignored_instances") or {}]
        parts = [part for part in parts if "bboxes" in part]
        boxes = [get_box_tensor(part["bboxes"]).cpu().numpy() for part in parts]
        labels = [part["labels"].cpu().numpy() for part in parts]
        crowd = [np.full(len(found), number > 0) for number, found in enumerate(labels)]
        return GroundTruth(
            with_extent(np.concatenate(boxes)), np.concatenate(labels), np.concatenate(crowd)
        )

    def _annotated(self, coco: COCO, image_id: int) -> GroundTruth:
        if not self._labels:
            self._labels = _class_indices(coco, (self.dataset_meta or {}).get("classes", ()))
        found = [
            annotation
            for annotation in coco.imgToAnns.get(image_id, ())
            if annotation["category_id"] in self._labels
        ]
        return GroundTruth(
            np.array([annotation["bbox"] for annotation in found], float).reshape(-1, 4),
            np.array([self._labels[annotation["category_id"]] for annotation in found], int),
            np.array([bool(annotation["iscrowd"]) for annotation in found], bool),
        )

    def _check_labels(self, labels: np.ndarray) -> None:
        classes = (self.dataset_meta or {}).get("classes")
        if classes is not None and len(labels) and labels.max() >= len(classes):
            raise ValueError(
                f"HarmonyMetric: the detector found class number {labels.max()}, counted from 0, "
                f"but the data set (metainfo.classes) has {len(classes)} classes. Set num_classes "
                "of the detector's bbox_head and metainfo.classes to the same list."
            )

    def _dense_summary(self, sample: Mapping[str, Any]) -> DenseSummary:
        summary = sample.get(DENSE_KEY)
        if summary is None:
            raise ValueError(
                "HarmonyMetric(dense=True) needs the dense predictions, but the samples hold none: "
                'add dict(type="tbd.DensePredictionsHook") to custom_hooks, or set dense=False.'
            )
        if summary.score_thr != self.score_thr:
            raise ValueError(
                f"score_thr is {self.score_thr} in HarmonyMetric and {summary.score_thr} in "
                "DensePredictionsHook; set both to the same value."
            )
        return summary

    def _agreement(self, records: Sequence[ImageRecord]) -> dict[str, float | None]:
        scores, ious = (
            np.concatenate([np.empty(0, np.float32), *(getattr(r, name) for r in records)])
            for name in ("scores", "ious")
        )
        counted = scores >= self.score_thr
        count = int(counted.sum())
        if count == 0:
            _warn(f"no detection has a score of {self.score_thr} or more; harmony_score is 0.")
            return {"harmony_score": 0.0, "num_detections": 0}
        return {**measure_agreement(scores[counted], ious[counted]), "num_detections": count}

    @staticmethod
    def _precision(records: Sequence[ImageRecord]) -> dict[str, float | None]:
        labels, positives = [r.labels for r in records], [r.positives for r in records]
        by_score, by_iou = [r.by_score for r in records], [r.by_iou for r in records]
        ap = average_precision([r.scores for r in records], labels, by_score, positives)
        oracle = average_precision([r.own_ious for r in records], labels, by_iou, positives)
        if ap is None or oracle is None:
            _warn("there is no ground truth in any image.")
            return {"ap": None, "oracle_ap": None, "ap_lost": None}
        return {"ap": ap, "oracle_ap": oracle, "ap_lost": oracle - ap}

    def _dense_agreement(self, records: Sequence[ImageRecord]) -> dict[str, float | None]:
        summaries = [record.dense for record in records if record.dense is not None]
        count = int(sum(summary.counts.sum() for summary in summaries))
        measured = measure_summaries(summaries)
        if measured is None:
            _warn(f"no dense prediction has a score of {self.score_thr} or more.")
            return {"dense_num_predictions": 0}
        named = {f"dense_{name}": value for name, value in measured.items()}
        return {**named, "dense_num_predictions": count}


def _class_indices(coco: COCO, classes: Sequence[str]) -> dict[int, int]:
    """Map the category ids of annotations to indices of the data set's class list."""
    ids = {category["name"]: number for number, category in coco.cats.items()}
    unknown = [name for name in classes if name not in ids]
    if unknown or not classes:
        raise ValueError(
            f"HarmonyMetric: the data set's classes (metainfo.classes) {list(classes)} are not "
            f"all in ann_file, which has {list(ids)}; missing: {unknown}. Set metainfo.classes of "
            "the data set to names of the annotations."
        )
    return {ids[name]: index for index, name in enumerate(classes)}


def _warn(text: str) -> None:
    print_log(f"HarmonyMetric: {text}", logger="current", level=logging.WARNING)
