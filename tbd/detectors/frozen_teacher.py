"""The teacher, kept out of everything that trains, saves or averages the student."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from torch import Tensor

from tbd.detectors.execution import TeacherExecution
from tbd.detectors.execution.compiled_parts import CompiledParts
from tbd.detectors.execution.half_precision import in_precision, under_autocast
from tbd.detectors.execution.preparation import TOLERANCE, deviation, prepare, report_deviation
from tbd.detectors.execution.side_stream import SideStream
from tbd.detectors.finite_check import FiniteCheck
from tbd.detectors.reader import DetectorReader, Reading
from tbd.detectors.recorder import OutputRecorder
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
        execution: How it is run. Its weights are changed accordingly on the first
            batch, not before: until then they are those of its checkpoint.
        levels: Pyramid levels whose predictions are read; None for all.
    """

    def __init__(
        self,
        detector: BaseDetector,
        renormalize: InputRenormalization,
        reading: Reading,
        execution: TeacherExecution | None = None,
        levels: Sequence[int] | None = None,
    ) -> None:
        self._frozen = FrozenModule(detector)
        self._renormalize = renormalize
        self._reading = reading
        self._reader = DetectorReader(detector, "teacher", reading)
        self._execution = execution or TeacherExecution()
        self._levels = levels
        self._prepared = False
        self._stream = SideStream(self._execution.stream)
        self._check_finite = FiniteCheck(self._named)
        self._compiled = (
            CompiledParts(self._execution.compile, "teacher", frozen=True)
            if self._execution.compile
            else None
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenTeacher":
        duplicate = copy.copy(self)
        duplicate._frozen = copy.deepcopy(self._frozen, memo)
        duplicate._stream = copy.deepcopy(self._stream, memo)
        duplicate._check_finite = FiniteCheck(duplicate._named)
        duplicate._compiled = copy.deepcopy(self._compiled, memo)
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

        With a stream of its own it may still be running on return: call :meth:`join`
        before anything looks at what it returned.

        Args:
            inputs: The student's normalised batch [N, 3, H, W].
            data_samples: The batch's samples, for the size of each image.
            gt: The batch's ground truth.

        Returns:
            What the terms see of it, but for the second stage.

        Raises:
            FloatingPointError: if an output is not finite; see
                :class:`~tbd.detectors.finite_check.FiniteCheck`.
        """
        return self.observe(inputs, data_samples, gt)()

    @torch.no_grad()
    def observe(
        self, inputs: Tensor, data_samples: Sequence[DetDataSample], gt: GroundTruth
    ) -> Callable[[], View]:
        """Run as :meth:`__call__` does, and return what makes a view of it, new at each call."""
        if self.detector.training:
            self.detector.eval()
        return self._stream.run(lambda: self._observe(inputs, data_samples, gt), inputs.device)

    def eager(self) -> "FrozenTeacher":
        """A copy that is run as its config builds it, in full precision.

        Raises:
            RuntimeError: if the weights were already changed for the execution.
        """
        if self._prepared:
            raise RuntimeError("The teacher was prepared on its first batch; copy it before.")
        return FrozenTeacher(
            copy.deepcopy(self.detector),
            self._renormalize,
            self._reading,
            TeacherExecution(fold_norms=False, pack_weights=False, dtype="fp32"),
        )

    def join(self) -> None:
        """Let the current stream wait for what :meth:`__call__` started."""
        self._stream.join()

    def precision(self, device: torch.device) -> AbstractContextManager[object]:
        """Context in which the detector runs in its own precision."""
        # The comparison when it is prepared must not be blurred by rounding.
        return in_precision(self._execution.dtype if self._prepared else "fp32", device)

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
        recorder = self._reader.second_stage_recorder(float32=self._is_half)
        with self.precision(view.features[0].device), recorder as record:
            rois: tuple[RoIPredictions, ...] = predict_rois(
                self.detector, view.features, proposals, data_samples
            )
        outputs = {**view.outputs, **self._reader.module_outputs(record)}
        return replace(view, rois=rois, outputs=outputs)

    def renormalize(self, inputs: Tensor, data_samples: Sequence[DetDataSample]) -> Tensor:
        """Turn the student's normalised batch into what the teacher's preprocessor would make."""
        return self._renormalize(inputs, [sample.img_shape[:2] for sample in data_samples])

    @property
    def _is_half(self) -> bool:
        return self._execution.dtype in ("bf16", "fp16")

    def _observe(
        self, inputs: Tensor, samples: Sequence[DetDataSample], gt: GroundTruth
    ) -> Callable[[], View]:
        images = self.renormalize(inputs, samples)
        if self._execution.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        if self._prepared:
            record = self._run(images, samples, self._levels)
        else:
            record = self._prepare(images, samples, gt)
        outputs = {
            name.removeprefix("path."): [call.output for call in calls]
            for name, calls in record.calls.items()
        }
        self._check_finite(outputs, samples)
        return lambda: self._reader.view(record, gt, images)

    def _run(
        self, images: Tensor, samples: Sequence[DetDataSample], levels: Sequence[int] | None
    ) -> OutputRecorder:
        compiling: AbstractContextManager[None] = nullcontext()
        if self._compiled is not None and self._prepared:
            compiling = self._compiled.active(
                self.detector, self._reader.parts(), self._reader.recorded(), tuple(images.shape)
            )
        recorder = self._reader.first_stage_recorder(float32=self._is_half)
        with self.precision(images.device), compiling, recorder as record:
            self._reader.run(images, samples, levels)
        if self._execution.packs and not self._execution.channels_last:
            # Terms may take views of what nobody asked to have the channels innermost.
            record.make_contiguous()
        return record

    def _prepare(
        self, images: Tensor, samples: Sequence[DetDataSample], gt: GroundTruth
    ) -> OutputRecorder:
        """Do on the first batch what is done once, and compare its outputs before and after."""
        self._levels = self._separable_levels(images, samples, gt)
        # Run by terms as well, on features in float32.
        shared = [getattr(self.detector, str(self.head))] if "head" in self._reading.reads else []

        def run() -> OutputRecorder:
            return self._run(images, samples, self._levels)

        mixed = self._execution.dtype is None and under_autocast(images.device)
        record = prepare(
            self.detector,
            self._execution,
            run,
            recorded=self._reader.recorded(),
            shared=shared,
            mixed=mixed,
        )
        self._prepared = True
        if not (self._is_half or self._compiled or mixed):
            return record
        prepared = run()
        if self._is_half:
            report_deviation(record, prepared, str(self._execution.dtype))
        return prepared

    def _separable_levels(
        self, images: Tensor, samples: Sequence[DetDataSample], gt: GroundTruth
    ) -> Sequence[int] | None:
        """Levels that the dense head predicts on; None where it needs all of them."""
        if self._levels is None or set(self._levels) >= self._reader.separate_levels():
            return None
        whole, selected = (
            self._reader.view(self._run(images, samples, levels), gt, images).select(self._levels)
            for levels in (None, self._levels)
        )
        read = [
            (view.head_features and (view.head_features.cls, view.head_features.reg))
            or (view.predictions and (view.predictions.ranking_logits, view.predictions.boxes))
            for view in (whole, selected)
        ]
        return self._levels if deviation(*read) <= TOLERANCE else None

    def _named(self, record: str) -> str:
        names = {"features": "neck", "head": self.head or "head", "queries": "bbox_head"}
        return names.get(record, record)
