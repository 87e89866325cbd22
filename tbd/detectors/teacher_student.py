"""One wrapper that distills any pair of MMDetection detectors."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import SampleList
from mmengine.config import ConfigDict
from mmengine.dist import is_distributed
from mmengine.logging import print_log
from torch import Tensor, nn

from tbd.detectors.balance import TermBalance
from tbd.detectors.config_keys import check_model_keys
from tbd.detectors.connection import connect
from tbd.detectors.dense_inference import predict_densely
from tbd.detectors.execution import StudentExecution, TeacherExecution
from tbd.detectors.execution.compiled_parts import CompiledParts
from tbd.detectors.frozen_teacher import FrozenTeacher
from tbd.detectors.model_config import build_detector, resolve_model_config
from tbd.detectors.randomness import isolated_randomness
from tbd.detectors.reader import DetectorReader
from tbd.detectors.recorder import OutputRecorder
from tbd.detectors.renormalization import InputRenormalization
from tbd.detectors.startup_report import startup_report
from tbd.detectors.student_weights import load_student, take_plain_weights
from tbd.detectors.weights import (
    TeacherWeights,
    inherit_from_teacher,
    load_teacher,
    without_pretrained,
)
from tbd.distill import DistillationTerm, GroundTruth, Progress, View, build_terms
from tbd.precision import AtLeastFloat32, without_autocast
from tbd.registry import MODELS

_LARGEST_PROBE = 4096


@MODELS.register_module()
class TeacherStudentDetector(BaseDetector):
    """A student detector that also learns from a frozen teacher.

    Its training loss is the student's own plus that of each distillation term;
    everything else — prediction, feature extraction, attributes such as
    ``bbox_head`` that MMDetection's hooks look for — is the student's. Student
    and teacher each run once per step. The teacher is not a submodule: it is
    in no optimizer, checkpoint, EMA or DistributedDataParallel bucket.

    Args:
        student: Config of the model to train: a file, a config of an installed
            package such as ``"mmdet::retinanet/retinanet_r50_fpn_2x_coco.py"``,
            or a model dict.
        teacher: Config of the model to learn from, likewise; None where every
            term brings a teacher of its own.
        teacher_ckpt: Checkpoint of the teacher, a path or URL, loaded strictly.
        distill: Distillation terms by name; a name set to None is left out, so
            that an inheriting config can drop a term. The key ``schedule`` of
            any term lets its weight follow a :class:`~tbd.distill.WeightSchedule`.
        student_init: ``"inherit"`` copies the teacher's neck and dense head into
            the student where names and shapes match.
        student_ckpt: Checkpoint that the student starts from, a path or URL, of a plain
            detector or of another distillation's student; loaded strictly.
        student_ckpt_partial: Load of ``student_ckpt`` what has the name and shape of a
            weight of the student, and initialise the rest as plain training would.
        student_options: Merged over the student's config as inheritance would.
        teacher_options: Merged over the teacher's config likewise.
        allow_random_teacher: Accept ``teacher_ckpt=None``; for trials only.
        allow_class_mismatch: Accept a teacher that tells apart another number of
            classes, where the terms do not compare classes.
        class_map: Which class of the teacher is which of the student's, both
            counted from 0, as ``{teacher's: student's}`` or pairs of them; for class
            lists that overlap. Terms see the predictions for these classes and the
            background alone, and of the ground truth their objects; objects of
            other classes are ignored regions to them. None compares all classes.
        level_map: Pairs (student's pyramid level, teacher's), counted from 0,
            for pyramids that differ; None pairs all levels in their order.
        resize: Accept paired levels of different strides; the teacher's maps
            are brought to the size of the student's.
        probe_size: Height and width in pixels of the empty image that is run
            through both detectors to learn their channels and strides.
        auto_share: Share of the norm of the gradients on the student's neck that the
            terms with ``loss_weight="auto"`` get together, in (0, 1); the rest is the
            student's own loss. Their weights are set once, over the first iterations.
        data_preprocessor: Used for a student whose config has none, as
            MMEngine's Runner does with the top-level key of this name.
        teacher_execution: How the teacher is run: ``fold_norms``, ``pack_weights``,
            ``channels_last``, ``dtype``, ``compile``, ``stream``; see
            :class:`~tbd.detectors.TeacherExecution`.
        student_execution: How the student is run while it trains:
            ``channels_last``, ``compile``; see :class:`~tbd.detectors.StudentExecution`.

    Attributes:
        student: The built student.
        student_config: Its plain model config.
        distilling: False once :meth:`stop_distillation` was called.
        teacher_classes: Class names in the teacher's checkpoint, if it has any.
        balance: Weighs the terms, and measures how they act beside the student's loss.
        classes: Pairing of the classes by ``class_map``, or None.
        student_head: Name of the student's dense head, where a term reads it.
        teacher_head: Name of the teacher's dense head, likewise.

    Raises:
        FileNotFoundError: if a config or the checkpoint does not exist.
        ValueError: if the checkpoint is not the teacher's, a term is unknown,
            or the two detectors cannot be compared.
    """

    def __init__(
        self,
        student: str | Mapping[str, Any],
        teacher: str | Mapping[str, Any] | None,
        teacher_ckpt: str | None = None,
        distill: Mapping[str, Mapping[str, Any] | None] | None = None,
        student_init: Literal["inherit"] | None = None,
        student_options: Mapping[str, Any] | None = None,
        teacher_options: Mapping[str, Any] | None = None,
        allow_random_teacher: bool = False,
        allow_class_mismatch: bool = False,
        class_map: Mapping[int, int] | Sequence[Sequence[int]] | None = None,
        level_map: Sequence[Sequence[int]] | None = None,
        resize: bool = False,
        probe_size: int = 256,
        auto_share: float = 0.5,
        data_preprocessor: Mapping[str, Any] | None = None,
        teacher_execution: Mapping[str, Any] | None = None,
        student_execution: Mapping[str, Any] | None = None,
        student_ckpt: str | None = None,
        student_ckpt_partial: bool = False,
    ) -> None:
        execution = TeacherExecution.of(teacher_execution)
        training = StudentExecution.of(student_execution)
        if not 1 <= probe_size <= _LARGEST_PROBE:
            raise ValueError(
                f"model.probe_size={probe_size} must be from 1 to {_LARGEST_PROBE} pixels; 256 "
                "suits most pairs."
            )
        _check_teacher(teacher is not None, teacher_ckpt, student_init, allow_random_teacher)
        _check_start(student_init, student_ckpt, student_ckpt_partial)
        student_config = resolve_model_config(student, student_options, key="student")
        if data_preprocessor is not None:
            student_config.setdefault("data_preprocessor", ConfigDict(data_preprocessor))
        check_model_keys(student_config, "model.student")
        whole = student_ckpt is not None and not student_ckpt_partial
        student_model = build_detector(
            without_pretrained(student_config) if whole else student_config, "model.student"
        )
        super().__init__(data_preprocessor=student_model.data_preprocessor)
        self.student: BaseDetector = student_model
        self.student_config = student_config
        self.student_init = student_init
        self.student_ckpt = student_ckpt
        self.student_ckpt_partial = student_ckpt_partial
        self.distilling = True
        loaded = None
        if student_ckpt is not None:
            loaded = load_student(student_model, student_ckpt, student_ckpt_partial)
        with isolated_randomness():
            teacher_model, weights = None, None
            if teacher is not None:
                teacher_model, weights = _build_teacher(teacher, teacher_options, teacher_ckpt)
            terms, self._schedules = build_terms(distill or {})
            self.distill = AtLeastFloat32(terms)
            self.balance = TermBalance(terms, auto_share)
            connection = connect(
                terms,
                student_model,
                teacher_model,
                level_map=level_map,
                resize=resize,
                probe_size=probe_size,
                allow_class_mismatch=allow_class_mismatch,
                class_map=class_map,
            )
        self.teacher_classes = weights.classes if weights else None
        self.classes = connection.classes
        self._pyramids = connection.pyramids
        self._student_reader = DetectorReader(student_model, "student", connection.student_reading)
        self._teacher: FrozenTeacher | None = None
        if teacher_model is not None:
            self._teacher = FrozenTeacher(
                teacher_model,
                InputRenormalization(
                    student_model.data_preprocessor, teacher_model.data_preprocessor
                ),
                connection.teacher_reading,
                execution,
                connection.pyramids.teacher_levels if connection.pyramids else None,
            )
        self._channels_last = training.channels_last
        self._compiled = CompiledParts(training.compile, "student") if training.compile else None
        self.student_head = self._student_reader.head
        self.teacher_head = self._teacher.head if self._teacher else None
        report = startup_report(connection, terms, self._schedules, weights, loaded)
        print_log(report, logger="current")
        if not terms:
            print_log(
                f"model.distill={dict(distill or {})} has no term: this is plain training of the "
                "student. Give it one, such as hd=dict(type='tbd.HarmonyDistillation').",
                "current",
                logging.WARNING,
            )

    @property
    def has_teacher(self) -> bool:
        """Whether there is a teacher detector; without one every term brings its own."""
        return self._teacher is not None

    @property
    def teacher(self) -> BaseDetector:
        """The built teacher: frozen, in eval mode, not a submodule.

        Raises:
            ValueError: if there is none.
        """
        if self._teacher is None:
            raise ValueError("model.teacher is None: this distillation has no teacher detector.")
        return self._teacher.detector

    @property
    def terms(self) -> dict[str, DistillationTerm]:
        """The distillation terms by name."""
        return cast(dict[str, DistillationTerm], dict(self.distill.items()))

    def init_weights(self) -> None:
        """Initialise the student as plain training would, then load or inherit if asked to."""
        if self.student_ckpt is not None and not self.student_ckpt_partial:
            return
        self.student.init_weights()
        if self.student_ckpt is not None:
            load_student(self.student, self.student_ckpt, partial=True)
        if self.student_init == "inherit":
            print_log(inherit_from_teacher(self.student, self.teacher), logger="current")

    def train(self, mode: bool = True) -> "TeacherStudentDetector":
        """Set the mode of the student and the terms; the teacher stays in eval mode."""
        super().train(mode)
        if self._teacher is not None:
            self.teacher.eval()
        return self

    def stop_distillation(self) -> None:
        """From now on train the student alone; the teacher is not run any more."""
        self.distilling = False

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Any]:
        """Compute the student's losses and those of every term, as ``<term>.<name>``.

        Args:
            batch_inputs: Normalised images [N, 3, H, W].
            batch_data_samples: Ground truth of the N images.

        Returns:
            Losses, and values to log whose names do not contain ``"loss"``.
        """
        if self._channels_last:
            # Not before weights are drawn, which follows the layout of the memory.
            self.student.to(memory_format=torch.channels_last)
            batch_inputs = batch_inputs.contiguous(memory_format=torch.channels_last)
        factors = self._factors() if self.distilling else {}
        active = [name for name, factor in factors.items() if factor > 0]
        if not active:
            with self._compiling(batch_inputs):
                losses = self.student.loss(batch_inputs, batch_data_samples)
            return {**losses, **self._keep_in_graph(self.distill.parameters())}
        gt = GroundTruth.of(batch_inputs, batch_data_samples)
        teacher_view = View(gt)
        if self._teacher and any(self.terms[name].reads_teacher for name in active):
            teacher_view = self._teacher(batch_inputs, batch_data_samples, gt)
        with (
            self._student_reader.recorder() as record,
            self.balance.watching(self.student, active),
            self._compiling(batch_inputs),
        ):
            losses = dict(self.student.loss(batch_inputs, batch_data_samples))
        if self._teacher is not None:
            self._teacher.join()
        student_view = self._student_reader.view(record, gt, batch_inputs)
        student_view, teacher_view = self._paired(
            record, student_view, teacher_view, batch_data_samples
        )
        with without_autocast(batch_inputs.device):
            found = {name: self.terms[name](student_view, teacher_view) for name in active}
            for name, values in self.balance.weigh(losses, found, factors).items():
                losses |= {f"{name}.{key}": value for key, value in values.items()}
        for name in self._schedules:
            losses[f"{name}.schedule"] = batch_inputs.new_tensor(factors[name])
        idle = [
            parameter
            for name, term in self.terms.items()
            for parameter in (term.idle_parameters() if name in active else term.parameters())
        ]
        return {**losses, **self._keep_in_graph(idle)}

    def eager_teacher(self) -> FrozenTeacher | None:
        """A copy of the teacher that is run as its config builds it, to measure against.

        To be made before the first step, which prepares the teacher's weights.
        """
        return self._teacher.eager() if self._teacher else None

    def run_teacher(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> None:
        """Run of the teacher what a training step runs up to its dense head or decoder."""
        if self._teacher is not None:
            gt = GroundTruth.of(batch_inputs, batch_data_samples)
            self._teacher.observe(batch_inputs, batch_data_samples, gt)
            self._teacher.join()

    def observe(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> Callable[[], tuple[View, View]]:
        """Run both detectors on a batch as a training step does, for measurements on terms.

        Args:
            batch_inputs: Normalised images [N, 3, H, W].
            batch_data_samples: Ground truth of the N images.

        Returns:
            Makes the views of student and teacher, new at each call, so that nothing
            is left in them of what a term made before. The student's tensors are
            leaves that require gradients.
        """
        gt = GroundTruth.of(batch_inputs, batch_data_samples)
        make = None
        if self._teacher and any(term.reads_teacher for term in self.terms.values()):
            make = self._teacher.observe(batch_inputs, batch_data_samples, gt)
            self._teacher.join()
        with self._student_reader.recorder() as record:
            self.student.loss(batch_inputs, batch_data_samples)
        record.detach()

        def views() -> tuple[View, View]:
            student_view = self._student_reader.view(record, gt, batch_inputs)
            teacher_view = View(gt) if make is None else make()
            return self._paired(record, student_view, teacher_view, batch_data_samples)

        return views

    @torch.no_grad()
    def dense_views(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, gt_boxes: list[Tensor]
    ) -> tuple[View, View]:
        """See a batch as the terms do, without a training step and whatever the terms need.

        Args:
            batch_inputs: Normalised images [N, 3, H, W].
            batch_data_samples: Their samples, for the size of each image.
            gt_boxes: Ground-truth boxes [G, 4] of each image, in pixels of the input.

        Returns:
            Features and dense predictions of the student, in its current mode, and of the
            teacher, their pyramid levels paired.

        Raises:
            UnsupportedHeadError: if a dense head is missing or cannot be read.
            ValueError: if pyramids that no term compares cannot be paired.
        """
        if self._pyramids is None or self._teacher is None:
            raise ValueError(
                "There is no teacher, or its pyramid differs from the student's and their levels "
                "are not paired; set model.level_map."
            )
        gt = GroundTruth.of_boxes(batch_inputs, gt_boxes)
        teacher_inputs = self._teacher.renormalize(batch_inputs, batch_data_samples)
        views = []
        for detector, inputs, precision in (
            (self.student, batch_inputs, nullcontext()),
            (self.teacher, teacher_inputs, self._teacher.precision(batch_inputs.device)),
        ):
            with precision:
                features, predictions = predict_densely(detector, inputs)
            views.append(View(gt, features=features, predictions=predictions))
        return self._pyramids.views(*views)

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, **kwargs: Any) -> Any:
        """Return the student's predictions, with its options."""
        return self.student.predict(batch_inputs, batch_data_samples, **kwargs)

    def extract_feat(self, batch_inputs: Tensor) -> Any:
        """Return the student's features."""
        return self.student.extract_feat(batch_inputs)

    def parse_losses(self, losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum losses as the student does."""
        return self.student.parse_losses(losses)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: SampleList | None = None) -> Any:
        return self.student._forward(batch_inputs, batch_data_samples)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # Every way to load a state dict, MMEngine's and a parent's included, comes through here.
        take_plain_weights(state_dict, self.student.state_dict(), prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        # Every way to move or cast a module, a parent's included, comes through here.
        super()._apply(fn, recurse)
        if self._teacher is not None:
            self._teacher.apply_(fn)
        return self

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            student = self.__dict__.get("_modules", {}).get("student")
            if student is None:
                raise
            return getattr(student, name)

    def _paired(
        self,
        record: OutputRecorder,
        student_view: View,
        teacher_view: View,
        samples: SampleList,
    ) -> tuple[View, View]:
        """Add the second stages to both views, and pair their pyramid levels and classes."""
        rois = self._student_reader.rois(record)
        if rois is not None:
            student_view = replace(student_view, rois=rois)
        if rois is not None and self._teacher and teacher_view.features:
            teacher_view = self._teacher.add_rois(
                teacher_view, [stage.rois for stage in rois], samples
            )
        if self._pyramids is not None:
            student_view, teacher_view = self._pyramids.views(student_view, teacher_view)
        if self.classes is not None:
            student_view, teacher_view = self.classes.views(student_view, teacher_view)
        return student_view, teacher_view

    def _compiling(self, batch_inputs: Tensor) -> AbstractContextManager[None]:
        """Context in which the parts of the student are those that were compiled, if any are."""
        if self._compiled is None:
            return nullcontext()
        return self._compiled.active(
            self.student,
            self._student_reader.trained_parts(),
            self._student_reader.recorded(),
            tuple(batch_inputs.shape),
        )

    def _factors(self) -> dict[str, float]:
        """Factor of each term's schedule for this iteration."""
        factors = dict.fromkeys(self.distill, 1.0)
        if not self._schedules:
            return factors
        progress = Progress.of_runner()
        if progress is None:
            raise RuntimeError(
                f"distill.{next(iter(self._schedules))}.schedule follows the counters of a Runner, "
                "and none of MMEngine is training; train with a Runner that has its "
                "RuntimeInfoHook, or leave the schedule out."
            )
        for name, schedule in self._schedules.items():
            try:
                factors[name] = schedule.factor(progress)
            except ValueError as error:
                raise ValueError(f"distill.{name}: {error}") from error
        return factors

    def _keep_in_graph(self, idle: Iterable[nn.Parameter]) -> dict[str, Tensor]:
        # DistributedDataParallel fails on parameters that take no part in the loss.
        parameters = [parameter for parameter in idle if parameter.requires_grad]
        if not (is_distributed() and parameters):
            return {}
        return {"distill.loss_idle": 0 * torch.stack([p.sum() for p in parameters]).sum()}


def _check_teacher(
    is_named: bool, checkpoint: str | None, student_init: str | None, allow_random: bool
) -> None:
    """Make sure that there is a teacher where something is taken of it, and that it has weights."""
    if not is_named and (checkpoint is not None or student_init == "inherit"):
        raise ValueError(
            f"model.teacher is None, but teacher_ckpt={checkpoint!r} and "
            f"student_init={student_init!r} need a teacher: name its config in model.teacher, "
            "or leave both out."
        )
    if is_named and checkpoint is None and not allow_random:
        raise ValueError(
            "teacher_ckpt is not set: distilling from random weights teaches nothing. Set "
            "model.teacher_ckpt to a checkpoint of the teacher (path or URL), or, for a trial "
            "run, model.allow_random_teacher=True."
        )


def _check_start(student_init: str | None, checkpoint: str | None, partial: bool) -> None:
    """Make sure that the student starts from one thing, and that it is said which."""
    if student_init not in (None, "inherit"):
        raise ValueError(f"student_init={student_init!r} is unknown; use None or 'inherit'.")
    if student_init is not None and checkpoint is not None:
        raise ValueError(
            f"student_init={student_init!r} would replace what student_ckpt={checkpoint!r} "
            "loads; leave one of them out."
        )
    if partial and checkpoint is None:
        raise ValueError(
            "student_ckpt_partial=True says how student_ckpt is loaded, which is not set; set "
            "model.student_ckpt, or leave it out."
        )


def _build_teacher(
    model: str | Mapping[str, Any], options: Mapping[str, Any] | None, checkpoint: str | None
) -> tuple[BaseDetector, TeacherWeights | None]:
    """Build a teacher and load it, or initialise it at random where there is no checkpoint."""
    config = resolve_model_config(model, options, key="teacher")
    check_model_keys(config, "model.teacher")
    teacher = build_detector(without_pretrained(config), "model.teacher")
    if checkpoint is None:
        teacher.init_weights()
        return teacher, None
    return teacher, load_teacher(teacher, checkpoint)
