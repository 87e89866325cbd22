"""How well the final detections' scores agree with their localization."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from tbd.harmony import harmony_score, localization_probability
from tbd.registry import METRICS


@METRICS.register_module()
class HarmonyMetric(BaseMetric):
    """Mean harmony score of the detections that a detector would show.

    A detection of score s whose best IoU with the image's ground truth, of any class, is u has
    the harmony score ``1 − tanh(|u − s|)`` (Tang et al., arXiv 2208.03006): 1 where the score
    says exactly how well the box fits. Ignored regions (``iscrowd``) count as background.

    Reports ``mean_score``, in (0, 1], and ``num_detections``. Without any detection the mean does
    not exist; it is reported as 0, which no detection can have, with a warning.

    The test pipeline has to load the boxes, and after the resizing, so that predictions and
    ground truth are both in the pixels of the original image.

    Args:
        score_thr: Smallest score of a detection that counts, in [0, 1].
        collect_device: Where results of several processes are gathered, ``"cpu"`` or ``"gpu"``.
        prefix: Replaces ``harmony`` in the names of the reported values.

    Raises:
        ValueError: ``score_thr`` is outside [0, 1], or the samples hold no ground truth.
    """

    default_prefix = "harmony"

    def __init__(
        self, score_thr: float = 0.3, collect_device: str = "cpu", prefix: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not 0 <= score_thr <= 1:
            raise ValueError(f"HarmonyMetric: score_thr must be in [0, 1], but is {score_thr}.")
        self.score_thr = score_thr

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep score and IoU of every counted detection: one entry per image, even an empty one.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_instances`` and ``gt_instances``, as dicts.
        """
        # Gathering over processes cuts the entries down to the number of images, so an image
        # must not be left out, and not be spread over several entries.
        for sample in data_samples:
            if "bboxes" not in sample.get("gt_instances", ()):
                raise ValueError(
                    "HarmonyMetric needs the ground truth, but the samples hold none: add "
                    'dict(type="LoadAnnotations", with_bbox=True) to the test pipeline, '
                    "after Resize."
                )
            scores = sample["pred_instances"]["scores"].detach().cpu()
            boxes = get_box_tensor(sample["pred_instances"]["bboxes"]).detach().cpu()
            counted = scores >= self.score_thr
            gt_boxes = get_box_tensor(sample["gt_instances"]["bboxes"]).cpu()
            ious = localization_probability(boxes[counted][None], [gt_boxes])[0]
            self.results.append({"scores": scores[counted].numpy(), "ious": ious.numpy()})

    def compute_metrics(self, results: list[dict[str, np.ndarray]]) -> dict[str, float]:
        """Reduce the entries of all images to the reported values."""
        scores = np.concatenate([np.empty(0), *(entry["scores"] for entry in results)])
        ious = np.concatenate([np.empty(0), *(entry["ious"] for entry in results)])
        if len(scores) == 0:
            print_log(
                f"HarmonyMetric: no detection has a score of {self.score_thr} or more; "
                "mean_score is reported as 0.",
                logger="current",
                level=logging.WARNING,
            )
            return {"mean_score": 0.0, "num_detections": 0}
        harmony = harmony_score(torch.from_numpy(scores), torch.from_numpy(ious))
        return {"mean_score": float(harmony.mean()), "num_detections": len(scores)}
