"""What a detector's final NMS removed although it was placed better than what was kept."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mmcv
import numpy as np
from matplotlib.figure import Figure
from mmdet.models.detectors.base import BaseDetector
from mmengine.config import ConfigDict

from tbd.evaluation.overlaps import box_overlaps, with_extent
from tbd.visualization.suppressed_pairs import SuppressedPair, draw_suppressed_pairs

MIN_LOST = 0.05
"""IoU that an object must lose at NMS to be counted among those that do."""

_ALL = 1_000_000


@dataclass(frozen=True)
class Candidates:
    """Boxes of one image as they go into NMS.

    Attributes:
        boxes: Corners [N, 4], ``x1, y1, x2, y2`` in pixels.
        scores: Scores [N].
        labels: Class indices [N].
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Rivals:
    """An object's best-placed kept box and the best-placed box that this one suppressed.

    Attributes:
        gt: Number of the object.
        kept: Number of the kept candidate.
        suppressed: Number of the suppressed candidate, which may be the kept one itself if it
            suppressed none that is better.
        kept_iou: IoU of the kept box with the object.
        suppressed_iou: IoU of the suppressed box with it, at least ``kept_iou``.
    """

    gt: int
    kept: int
    suppressed: int
    kept_iou: float
    suppressed_iou: float

    @property
    def lost(self) -> float:
        """IoU that the object loses at NMS."""
        return self.suppressed_iou - self.kept_iou


@dataclass(frozen=True)
class TracedObject:
    """An object that a detector found, and what its NMS did to it.

    Attributes:
        image: Number of the image.
        candidates: All boxes of the image as they went into NMS.
        rivals: The two of them that are compared.
    """

    image: int
    candidates: Candidates
    rivals: Rivals


def trace_nms(
    detector: BaseDetector, batches: Iterable[dict[str, Any]], score_thr: float
) -> list[TracedObject] | None:
    """Trace the boxes of images through a detector's final NMS.

    Args:
        detector: A plain detector, in eval mode.
        batches: One image each, with its ground truth in pixels of the original image.
        score_thr: Smallest score of a kept box that finds an object.

    Returns:
        The objects that were found, image by image; None if the detector has no NMS, or one that
        rescores.
    """
    found: list[TracedObject] = []
    with lifted_nms(detector) as nms:
        if nms is None:
            return None
        for index, batch in enumerate(batches):
            (sample,) = detector.test_step(batch)
            boxes = sample.pred_instances.cpu()
            candidates = Candidates(
                boxes.bboxes.numpy(), boxes.scores.numpy(), boxes.labels.numpy()
            )
            decided_by = suppress(candidates, nms.iou_threshold, nms.get("class_agnostic", False))
            truth = sample.gt_instances.cpu()
            gt = truth.bboxes.numpy(), truth.labels.numpy()
            found += [
                TracedObject(index, candidates, rivals)
                for rivals in find_rivals(candidates, decided_by, *gt, score_thr)
            ]
    return found


def measure_nms(objects: Sequence[TracedObject], num_images: int) -> dict[str, float]:
    """Measure what NMS cost the objects that were found.

    Args:
        objects: What :func:`trace_nms` returned.
        num_images: Number of images that were traced.

    Returns:
        ``nms_images``, ``nms_objects``, and if there are objects ``nms_better_suppressed``, the
        share of those that lost at least :data:`MIN_LOST`, and ``nms_iou_lost``, the mean loss.
    """
    values: dict[str, float] = {"nms_images": num_images, "nms_objects": len(objects)}
    if objects:
        lost = np.array([found.rivals.lost for found in objects])
        values["nms_better_suppressed"] = float((lost >= MIN_LOST).mean())
        values["nms_iou_lost"] = float(lost.mean())
    return values


def draw_worst(objects: Sequence[TracedObject], dataset: Any, most: int) -> Figure | None:
    """Draw the objects that lost most at NMS, with the box that was kept and the better one.

    Args:
        objects: What :func:`trace_nms` returned.
        dataset: The data set, whose images are numbered as there.
        most: How many are drawn at most.

    Returns:
        The picture, or None if no object lost :data:`MIN_LOST`.
    """
    worst = sorted(objects, key=lambda found: -found.rivals.lost)[:most]
    pairs = [_pair(found, dataset) for found in worst if found.rivals.lost >= MIN_LOST]
    return draw_suppressed_pairs(pairs) if pairs else None


@contextmanager
def lifted_nms(detector: BaseDetector) -> Iterator[ConfigDict | None]:
    """Context in which a detector's final NMS suppresses nothing and cuts nothing off.

    What it then predicts are all boxes that reach the score threshold of its test config, with
    the scores that rank them: those of the dense head, of a two-stage detector those of its RoI
    head for the usual proposals.

    Args:
        detector: A plain detector.

    Yields:
        The config of the NMS that is lifted, such as ``{"type": "nms", "iou_threshold": 0.5}``;
        None if the detector has none or one that does more than suppress (soft-NMS, matrix NMS),
        in which case nothing is changed.
    """
    owner: Any = getattr(detector, "roi_head", None) or getattr(detector, "bbox_head", None)
    config = getattr(owner, "test_cfg", None) or {}
    nms = config.get("nms")
    if nms is None or nms.get("type", "nms") != "nms":
        yield None
        return
    # No IoU is greater than 1.
    lifted = {**copy.deepcopy(config), "nms": {**nms, "iou_threshold": 1.0}, "max_per_img": _ALL}
    owner.test_cfg = ConfigDict(lifted)
    try:
        yield ConfigDict(nms)
    finally:
        owner.test_cfg = config


def suppress(
    candidates: Candidates, iou_threshold: float, class_agnostic: bool = False
) -> np.ndarray:
    """Run greedy NMS and say which box removed which.

    Args:
        candidates: The boxes that go in.
        iou_threshold: A box goes if its IoU with a better-scored kept one is greater.
        class_agnostic: Let boxes of other classes suppress too.

    Returns:
        For each candidate the number of the kept one that decided on it [N]; kept ones have
        their own number.
    """
    decided_by = np.full(len(candidates.boxes), -1)
    boxes = with_extent(candidates.boxes)
    for index in np.argsort(-candidates.scores, kind="stable"):
        if decided_by[index] >= 0:
            continue
        open_ = np.flatnonzero(decided_by < 0)
        if not class_agnostic:
            open_ = open_[candidates.labels[open_] == candidates.labels[index]]
        overlaps = box_overlaps(boxes[open_], boxes[index : index + 1])[:, 0]
        decided_by[open_[overlaps > iou_threshold]] = index
        decided_by[index] = index
    return decided_by


def find_rivals(
    candidates: Candidates,
    decided_by: np.ndarray,
    gt_boxes: np.ndarray,
    gt_labels: np.ndarray,
    score_thr: float,
    min_iou: float = 0.5,
) -> list[Rivals]:
    """Compare, for every object that is found, the box kept for it with those it suppressed.

    Args:
        candidates: The boxes that go into NMS.
        decided_by: What :func:`suppress` returned for them.
        gt_boxes: Objects of the image [G, 4], corners in pixels.
        gt_labels: Their class indices [G].
        score_thr: Smallest score of a kept box that finds an object.
        min_iou: Smallest IoU of such a box with the object.

    Returns:
        One entry per object that is found by a kept box of its class: the one placed best.
    """
    ious = box_overlaps(with_extent(candidates.boxes), with_extent(gt_boxes))
    ious[candidates.labels[:, None] != gt_labels] = 0
    kept = (decided_by == np.arange(len(decided_by))) & (candidates.scores >= score_thr)
    found = []
    for gt, overlaps in enumerate(ious.T):
        best = int(np.where(kept, overlaps, -1.0).argmax()) if kept.any() else -1
        if best < 0 or overlaps[best] < min_iou:
            continue
        rivals = np.flatnonzero(decided_by == best)
        rival = int(rivals[overlaps[rivals].argmax()])
        found.append(Rivals(gt, best, rival, float(overlaps[best]), float(overlaps[rival])))
    return found


def _pair(found: TracedObject, dataset: Any) -> SuppressedPair:
    candidates, rivals = found.candidates, found.rivals
    info = dataset.get_data_info(found.image)
    proper = [i for i in info["instances"] if not i.get("ignore_flag", 0)]
    label = int(candidates.labels[rivals.kept])
    classes = dataset.metainfo.get("classes")
    return SuppressedPair(
        image=mmcv.imread(info["img_path"], channel_order="rgb"),
        gt_box=np.array(proper[rivals.gt]["bbox"]),
        kept_box=candidates.boxes[rivals.kept],
        suppressed_box=candidates.boxes[rivals.suppressed],
        kept=(float(candidates.scores[rivals.kept]), rivals.kept_iou),
        suppressed=(float(candidates.scores[rivals.suppressed]), rivals.suppressed_iou),
        label=f"{classes[label] if classes else label}, image {found.image}",
    )
