"""The teacher, kept out of everything that trains, saves or averages the student."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from torch import Tensor

from tbd.detectors.reader import DetectorReader, Reading
from tbd.detectors.renormalization import InputRenormalization
from tbd.detectors.roi_inference import predict_rois
from tbd.distill import GroundTruth, View
from tbd.modules import FrozenModule
from tbd.predictions import RoIPredictions


class FrozenTeacher:
    """Runs a detector that is no part of the model, frozen and without gradient.

    Args:
        detector: The detector; it is frozen and set to eval mode.
        renormalize: Map from the student's batch to the teacher's.
        reading: What is read of it, and so how much of it is run.
    """

    def __init__(
        self, detector: BaseDetector, renormalize: InputRenormalization, reading: Reading
    ) -> None:
        self._frozen = FrozenModule(detector)
        self._renormalize = renormalize
        self._reading = reading
        self._reader = DetectorReader(detector, "teacher", reading)

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenTeacher":
        duplicate = copy.copy(self)
        duplicate._frozen = copy.deepcopy(self._frozen, memo)
        return duplicate

    @property
    def detector(self) -> BaseDetector:
        """The detector."""
        return self._frozen.module

    def apply_(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Follow a ``Module._apply``; see :class:`~tbd.modules.FrozenModule`."""
        before = self.detector
        self._frozen.apply_(fn)
        if self.detector is not before:
            self._reader = DetectorReader(self.detector, "teacher", self._reading)

    @property
    def head(self) -> str | None:
        """Attribute name of its dense head, where a term reads or runs it."""
        return self._reader.head

    @torch.no_grad()
    def __call__(
        self, inputs: Tensor, data_samples: Sequence[DetDataSample], gt: GroundTruth
    ) -> View:
        """Run just what is read, up to the dense head; no label assignment, no NMS.

        Args:
            inputs: The student's normalised batch [N, 3, H, W].
            data_samples: The batch's samples, for the size of each image.
            gt: The batch's ground truth.

        Returns:
            What the terms see of it, but for the second stage.

        Raises:
            FloatingPointError: if an output is not finite.
        """
        if self.detector.training:
            self.detector.eval()
        images = self.renormalize(inputs, data_samples)
        with self._reader.first_stage_recorder() as record:
            self._reader.run(images, data_samples)
        outputs = {
            name.removeprefix("path."): [call.output for call in calls]
            for name, calls in record.calls.items()
        }
        self._check_finite(outputs, data_samples)
        return self._reader.view(record, gt, images)

    @torch.no_grad()
    def add_rois(
        self,
        view: View,
        proposals: Sequence[Tensor],
        data_samples: Sequence[DetDataSample],
    ) -> View:
        """Run the second stage on proposals of the student.

        Args:
            view: What :meth:`__call__` returned, with all levels of the pyramid.
            proposals: For each of the student's stages, proposals [R, 5].
            data_samples: The batch's samples, for the size of each image.

        Returns:
            The view with ``rois``, and with outputs of modules in the RoI head.
        """
        with self._reader.second_stage_recorder() as record:
            rois: tuple[RoIPredictions, ...] = predict_rois(
                self.detector, view.features, proposals, data_samples
            )
        outputs = {**view.outputs, **self._reader.module_outputs(record)}
        return replace(view, rois=rois, outputs=outputs)

    def renormalize(self, inputs: Tensor, data_samples: Sequence[DetDataSample]) -> Tensor:
        """Turn the student's normalised batch into what the teacher's preprocessor would make."""
        return self._renormalize(inputs, [sample.img_shape[:2] for sample in data_samples])

    def _check_finite(
        self, outputs: Mapping[str, Any], data_samples: Sequence[DetDataSample]
    ) -> None:
        named = [(name, t) for name, output in outputs.items() for t in _tensors_in(output)]
        if not named:
            return
        total = torch.stack([tensor.float().sum() for _, tensor in named]).sum()
        # One number to wait for; the tensors are looked at only where it is suspicious.
        if torch.isfinite(total):
            return
        for name, tensor in named:
            finite = tensor.isfinite()
            if not finite.all():
                images = "some image of the batch"
                if len(tensor) == len(data_samples):
                    per_image = finite.flatten(1).all(dim=1)
                    images = ", ".join(
                        str(sample.metainfo.get("img_path", f"number {index} of the batch"))
                        for index, sample in enumerate(data_samples)
                        if not per_image[index]
                    )
                raise FloatingPointError(
                    f"The teacher's {self._named(name)} returned NaN or infinity at "
                    f"{list(tensor.shape)} for {images}. Check teacher_ckpt; under AMP the teacher "
                    "may overflow float16: train without --amp or with "
                    "optim_wrapper.dtype='bfloat16'. The last checkpoint is untouched."
                )

    def _named(self, record: str) -> str:
        names = {"features": "neck", "head": self.head or "head", "queries": "bbox_head"}
        return names.get(record, record)


def _tensors_in(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, list | tuple):
        return [tensor for item in output for tensor in _tensors_in(item)]
    return []
