"""A training step on noise, to measure what steps cost."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData
from torch import Tensor

from tbd.detectors import TeacherStudentDetector, build_detector, resolve_model_config
from tbd.detectors.quiet import quiet_logger
from tbd.detectors.trial import build_trial
from tbd.detectors.weights import without_pretrained
from tbd.distill import GroundTruth
from tbd.distill.build import AUTO

Amp = Literal["fp16", "bf16"]
"""Precision of mixed-precision training."""

_Detector = TypeVar("_Detector", bound=BaseDetector)

_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class StepBatch:
    """The synthetic batch that is measured on.

    Attributes:
        batch_size: Number of images.
        height: Their height in pixels.
        width: Their width in pixels.
        boxes: Ground-truth boxes in each image.
    """

    batch_size: int
    height: int
    width: int
    boxes: int

    def raw(self, masks: bool = False) -> dict[str, list[Any]]:
        """Images of noise and boxes at random, as a data set yields them; always the same.

        Args:
            masks: Also the masks of objects that fill their boxes.
        """
        generator = torch.Generator().manual_seed(0)
        size = torch.tensor([self.width, self.height])
        shape = (self.height, self.width)
        inputs: list[Tensor] = []
        samples = []
        for _ in range(self.batch_size):
            image = torch.randint(0, 256, (3, *shape), generator=generator)
            corners = torch.rand(self.boxes, 2, 2, generator=generator).sort(dim=1).values * size
            boxes = corners.flatten(1)
            labels = torch.zeros(self.boxes, dtype=torch.long)
            instances = InstanceData(bboxes=boxes, labels=labels)
            if masks:
                instances.masks = _filled(boxes, shape)
            meta = dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0))
            sample = DetDataSample(metainfo=meta, gt_instances=instances)
            sample.ignored_instances = instances[:0]
            inputs.append(image.to(torch.uint8))
            samples.append(sample)
        return dict(inputs=inputs, data_samples=samples)


def build_distillation(model: ConfigDict) -> TeacherStudentDetector:
    """Build a distillation to measure on: random weights, terms as for trials, training mode.

    The step is one in the middle of a training: weights that follow a schedule have their full
    size, and those that set themselves are set.
    """
    config = ConfigDict(copy.deepcopy(model))
    for term in (config.get("distill") or {}).values():
        if term is None:
            continue
        term.pop("schedule", None)
        if term.get("loss_weight") == AUTO:
            term.loss_weight = 1.0
    return _at_random_weights(build_trial(config))


def build_student(model: ConfigDict) -> BaseDetector:
    """Build the student of a distillation alone, likewise."""
    config = ConfigDict(model)
    student = resolve_model_config(config.student, config.get("student_options"), "model.student")
    return _at_random_weights(build_detector(without_pretrained(student)))


def _at_random_weights(model: _Detector) -> _Detector:
    # Some parameters, such as the level embeddings of Deformable DETR, are memory that nobody has
    # written to until they are initialised.
    with quiet_logger():
        model.init_weights()
    return model.to(get_device()).train()


class TrialStep:
    """Forward, backward and update of a detector on one batch, again and again.

    Args:
        model: A detector in training mode.
        batch: What to step on.
        amp: Precision of autocast, or None. Gradients are not scaled: noise has
            none that matter.

    Attributes:
        data: The preprocessed batch, arguments of the model.
        ground_truth: Its ground truth, as terms see it.
    """

    def __init__(self, model: BaseDetector, batch: StepBatch, amp: Amp | None = None) -> None:
        self._model = model
        self._amp = amp
        student = getattr(model, "student", model)
        self._raw = batch.raw(masks=bool(getattr(student, "with_mask", False)))
        # A vanishing rate: random weights must not diverge, and updates cost the same.
        self._optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-9, momentum=0.9))
        self.data = self.preprocess()
        self.ground_truth = GroundTruth.of(self.data["inputs"], self.data["data_samples"])

    def preprocess(self) -> dict[str, Any]:
        """Normalise, pad and move the raw batch."""
        raw = dict(
            inputs=list(self._raw["inputs"]),
            data_samples=[sample.clone() for sample in self._raw["data_samples"]],
        )
        processed: dict[str, Any] = self._model.data_preprocessor(raw, True)
        return processed

    def autocast(self) -> AbstractContextManager[object]:
        """Context of mixed precision."""
        if self._amp is None:
            return nullcontext()
        return torch.autocast(self.data["inputs"].device.type, dtype=_DTYPES[self._amp])

    def update(self, of: BaseDetector | None = None) -> None:
        """Make one training step, of the model or of a part of it that trains by itself."""
        model = of or self._model
        with self.autocast():
            losses = model(**self.data, mode="loss")
        loss, _ = model.parse_losses(losses)
        self._optimizer.update_params(loss)

    def forward_and_backward_of(self, name: str) -> tuple[Callable[[], None], Callable[[], None]]:
        """Forward and backward of one distillation term alone, to be called in turn.

        The backward ends at the student's tensors that the term reads.
        """
        wrapper: Any = self._model
        with self.autocast():
            views = wrapper.observe(self.data["inputs"], self.data["data_samples"])
        found: list[Tensor] = []
        # Views are made anew before the clock starts, and are empty of what was made of them.
        ready = [views()]

        def forward() -> None:
            losses = wrapper.terms[name](*ready.pop())
            found[:] = [torch.stack([v for k, v in losses.items() if "loss" in k]).sum()]

        def backward() -> None:
            found.pop().backward()
            wrapper.zero_grad()
            ready.append(views())

        return forward, backward


def _filled(boxes: Tensor, shape: tuple[int, int]) -> BitmapMasks:
    masks = np.zeros((len(boxes), *shape), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.long().tolist(), strict=True):
        mask[top : bottom + 1, left : right + 1] = 1
    return BitmapMasks(masks, *shape)
