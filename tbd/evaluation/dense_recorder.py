"""Reading the dense predictions of a detector while it predicts."""

from typing import Any

from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tbd.evaluation.dense_summary import summarize_dense
from tbd.evaluation.harmony import DENSE_KEY
from tbd.predictions import build_adapter, find_dense_head


class DenseRecorder:
    """Context in which every sample that a detector predicts gets a summary of what led to it.

    The summary is that of the dense head's predictions before NMS (of a two-stage detector: the
    RPN's), a :class:`~tbd.evaluation.dense_summary.DenseSummary`. The dense predictions are
    dropped as soon as their batch is predicted.

    Args:
        detector: A detector, or a :class:`~tbd.TeacherStudentDetector`, which stands for its
            student.
        score_thr: Smallest score of a dense prediction that counts, in [0, 1].

    Raises:
        UnsupportedHeadError: The detector has no dense head, or none that can be read.
    """

    def __init__(self, detector: BaseDetector, score_thr: float) -> None:
        self.score_thr = score_thr
        self._detector = detector
        _, self._head = find_dense_head(detector)
        self._adapter = build_adapter(self._head)
        self._output: Any = None
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> "DenseRecorder":
        self._handles = [
            self._head.register_forward_hook(self._keep),
            self._detector.register_forward_hook(self._attach),
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._output = None

    def _keep(self, head: nn.Module, args: Any, output: Any) -> None:
        self._output = output

    def _attach(self, detector: nn.Module, args: Any, samples: Any) -> None:
        predicted = isinstance(samples, list) and isinstance(samples[0], DetDataSample)
        if not predicted or self._output is None:
            return
        predictions = self._adapter(self._output)
        self._output = None
        gt_boxes = [input_ground_truth(sample) for sample in samples]
        summaries = summarize_dense(predictions, gt_boxes, self.score_thr)
        for sample, summary in zip(samples, summaries, strict=True):
            sample.set_field(summary, DENSE_KEY)


def input_ground_truth(sample: DetDataSample) -> Tensor:
    """Ground-truth boxes [G, 4] of a test sample in pixels of the detector's input.

    Args:
        sample: A sample whose ground truth was loaded after the resizing, as in MMDetection's
            test pipelines, so that it is in pixels of the original image.

    Raises:
        ValueError: The sample holds no ground truth.
    """
    if "bboxes" not in sample.get("gt_instances", ()):
        raise ValueError(
            "The samples hold no ground truth to compare dense predictions with: add "
            'dict(type="LoadAnnotations", with_bbox=True) to the test pipeline, after Resize.'
        )
    boxes = get_box_tensor(sample.gt_instances.bboxes)
    return boxes * boxes.new_tensor(sample.scale_factor).repeat(2)
