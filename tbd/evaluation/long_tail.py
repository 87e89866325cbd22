"""Average precision of rare, common and frequent classes."""

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.evaluation.metrics import CocoMetric

from tbd.registry import METRICS

GROUPS = ("rare", "common", "frequent")


@METRICS.register_module()
class LongTailCocoMetric(CocoMetric):
    """COCO's average precision, overall and of classes grouped by how often training showed them.

    A class with n training boxes is rare where n < thresholds[0], frequent where
    n ≥ thresholds[1], common in between. Beside :class:`mmdet.evaluation.CocoMetric`'s values it
    reports the mean AP of each group's classes as ``bbox_mAP_rare``, ``bbox_mAP_common`` and
    ``bbox_mAP_frequent``; −1, as COCO does, where no class of the group has ground truth. The mean
    over all classes is COCO's AP; every AP is rounded to three digits, as CocoMetric does.

    Args:
        train_ann_file: COCO annotations of the training set, to count its boxes; crowds do not
            count. None where ``class_counts`` says how many there are.
        class_counts: Training boxes of each class of the data set, in its order.
        thresholds: The two limits, 0 < first ≤ second.
        metric: ``"bbox"`` or ``"segm"``; with ``"segm"`` the values are named ``segm_…``.
        classwise: True, since groups are made of the AP of each class, which is reported too.
        **kwargs: Arguments of :class:`mmdet.evaluation.CocoMetric`.

    Raises:
        ValueError: An argument is out of its range, not exactly one of ``train_ann_file`` and
            ``class_counts`` is given, or the counts do not fit the classes.
        FileNotFoundError: ``train_ann_file`` does not exist.
    """

    def __init__(
        self,
        train_ann_file: str | None = None,
        class_counts: Sequence[int] | None = None,
        thresholds: tuple[int, int] = (100, 1000),
        metric: str = "bbox",
        classwise: bool = True,
        **kwargs: Any,
    ) -> None:
        if not classwise:
            raise ValueError(
                "LongTailCocoMetric: classwise=False, but groups are made of the AP of each class; "
                "leave it out"
            )
        if metric not in ("bbox", "segm"):
            raise ValueError(f"LongTailCocoMetric: metric must be 'bbox' or 'segm', not {metric!r}")
        if len(thresholds) != 2 or not 0 < thresholds[0] <= thresholds[1]:
            raise ValueError(
                "LongTailCocoMetric: thresholds must be two numbers, 0 < first <= second, but are "
                f"{tuple(thresholds)}"
            )
        if (train_ann_file is None) == (class_counts is None):
            raise ValueError(
                f"LongTailCocoMetric: train_ann_file={train_ann_file!r} and class_counts="
                f"{class_counts}; give exactly one of them"
            )
        super().__init__(metric=metric, classwise=classwise, **kwargs)
        self.thresholds = tuple(thresholds)
        self._listed_counts = class_counts
        self._counts_by_name = None if train_ann_file is None else _count_boxes(train_ann_file)

    def class_counts(self) -> dict[str, int]:
        """Training boxes of each class of the data set.

        Raises:
            ValueError: The counts are of other classes.
        """
        names = tuple(self.dataset_meta["classes"])
        if self._counts_by_name is None:
            listed = list(self._listed_counts or ())
            if len(listed) != len(names):
                raise ValueError(
                    f"LongTailCocoMetric: class_counts has {len(listed)} entries, but the data set "
                    f"has {len(names)} classes"
                )
            return dict(zip(names, listed, strict=True))
        unknown = [name for name in names if name not in self._counts_by_name]
        if unknown:
            raise ValueError(
                f"LongTailCocoMetric: train_ann_file has no category {', '.join(unknown)}; it has "
                f"{', '.join(self._counts_by_name)}"
            )
        return {name: self._counts_by_name[name] for name in names}

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Evaluate as COCO does, then average over the classes of each group."""
        counts = self.class_counts()
        values: dict[str, float] = super().compute_metrics(results)
        if not all(f"{name}_precision" in values for name in counts):
            return values  # Nothing was evaluated: no detections at all, or format_only.
        first, second = self.thresholds
        limits = {"rare": (0, first), "common": (first, second), "frequent": (second, float("inf"))}
        for group in GROUPS:
            low, high = limits[group]
            precisions = np.array(
                [values[f"{name}_precision"] for name, n in counts.items() if low <= n < high]
            )
            # NaN is how CocoMetric says that a class has no ground truth.
            known = precisions[~np.isnan(precisions)]
            mean = float(known.mean()) if len(known) else -1.0
            values[f"{self.metrics[0]}_mAP_{group}"] = mean
        return values


def _count_boxes(ann_file: str) -> dict[str, int]:
    if not os.path.isfile(ann_file):
        raise FileNotFoundError(
            f"LongTailCocoMetric: train_ann_file: there is no file at {os.path.abspath(ann_file)}. "
            "A generated set is written when its training split is first loaded; otherwise set "
            "data_root, or give class_counts in place of the file"
        )
    with open(ann_file) as file:
        content = json.load(file)
    names = {category["id"]: category["name"] for category in content["categories"]}
    counts = dict.fromkeys(names.values(), 0)
    for annotation in content["annotations"]:
        if not annotation.get("iscrowd"):
            counts[names[annotation["category_id"]]] += 1
    return counts
