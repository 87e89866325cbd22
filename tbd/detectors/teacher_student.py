"""One wrapper that distills any pair of MMDetection detectors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import SampleList
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import ConfigDict
from mmengine.dist import is_distributed
from mmengine.logging import print_log
from torch import Tensor, nn

from tbd.detectors.classes import count_classes
from tbd.detectors.dense_inference import predict_densely
from tbd.detectors.frozen_teacher import FrozenTeacher
from tbd.detectors.inspection import inspect_detector
from tbd.detectors.model_config import build_detector, resolve_model_config
from tbd.detectors.pyramids import match_pyramids
from tbd.detectors.randomness import isolated_randomness
from tbd.detectors.recorder import OutputRecorder
from tbd.detectors.renormalization import InputRenormalization
from tbd.detectors.roi_inference import predict_rois, roi_stages
from tbd.detectors.weights import (
    TeacherWeights,
    inherit_from_teacher,
    load_teacher,
    without_pretrained,
)
from tbd.distill import DetectorSpec, DistillationTerm, RoISpec, UnsuitablePairError, View
from tbd.precision import without_autocast
from tbd.predictions import RoIPredictions, build_adapter, no_predictions, read_box_head
from tbd.registry import MODELS


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
        teacher: Config of the model to learn from, likewise.
        teacher_ckpt: Checkpoint of the teacher, a path or URL, loaded strictly.
        distill: Distillation terms by name; a name set to None is left out, so
            that an inheriting config can drop a term.
        student_init: ``"inherit"`` copies the teacher's neck and dense head into
            the student where names and shapes match.
        student_options: Merged over the student's config as inheritance would.
        teacher_options: Merged over the teacher's config likewise.
        allow_random_teacher: Accept ``teacher_ckpt=None``; for trials only.
        allow_class_mismatch: Accept a teacher that tells apart another number of
            classes, where the terms do not compare classes.
        level_map: Pairs (student's pyramid level, teacher's), counted from 0,
            for pyramids that differ; None pairs all levels in their order.
        resize: Accept paired levels of different strides; the teacher's maps
            are brought to the size of the student's.
        probe_size: Height and width in pixels of the empty image that is run
            through both detectors to learn their channels and strides.
        data_preprocessor: Used for a student whose config has none, as
            MMEngine's Runner does with the top-level key of this name.

    Attributes:
        student: The built student.
        student_config: Its plain model config.
        distilling: False once :meth:`stop_distillation` was called.
        teacher_classes: Class names in the teacher's checkpoint, if it has any.
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
        teacher: str | Mapping[str, Any],
        teacher_ckpt: str | None = None,
        distill: Mapping[str, Mapping[str, Any] | None] | None = None,
        student_init: Literal["inherit"] | None = None,
        student_options: Mapping[str, Any] | None = None,
        teacher_options: Mapping[str, Any] | None = None,
        allow_random_teacher: bool = False,
        allow_class_mismatch: bool = False,
        level_map: Sequence[Sequence[int]] | None = None,
        resize: bool = False,
        probe_size: int = 256,
        data_preprocessor: Mapping[str, Any] | None = None,
    ) -> None:
        if student_init not in (None, "inherit"):
            raise ValueError(f"student_init={student_init!r} is unknown; use None or 'inherit'.")
        if teacher_ckpt is None and not allow_random_teacher:
            raise ValueError(
                "teacher_ckpt is not set: distilling from random weights teaches nothing. Set "
                "model.teacher_ckpt to a checkpoint of the teacher (path or URL), or, for a trial "
                "run, model.allow_random_teacher=True."
            )
        student_config = resolve_model_config(student, student_options, key="student")
        if data_preprocessor is not None:
            student_config.setdefault("data_preprocessor", ConfigDict(data_preprocessor))
        student_model = build_detector(student_config)
        super().__init__(data_preprocessor=student_model.data_preprocessor)
        self.student: BaseDetector = student_model
        self.student_config = student_config
        self.student_init = student_init
        self.distilling = True
        with isolated_randomness():
            teacher_config = resolve_model_config(teacher, teacher_options, key="teacher")
            teacher_model = build_detector(without_pretrained(teacher_config))
            weights = _fill_teacher(teacher_model, teacher_ckpt)
            self.distill = nn.ModuleDict(_build_terms(distill or {}))
            student_spec = inspect_detector(student_model, "student", probe_size)
            teacher_spec = inspect_detector(teacher_model, "teacher", probe_size)
            self._pyramids = match_pyramids(student_spec, teacher_spec, level_map, resize)
            student_spec = student_spec.select(self._pyramids.student_levels)
            teacher_spec = teacher_spec.select(self._pyramids.teacher_levels)
            self._check_needs(student_spec, teacher_spec)
            if not allow_class_mismatch:
                _check_class_counts(student_model, teacher_model)
            for name, term in self.terms.items():
                try:
                    term.connect(student_spec, teacher_spec)
                except ValueError as error:
                    raise UnsuitablePairError(name, str(error)) from error
        self.teacher_classes = weights.classes if weights else None
        needs_head = any(term.needs_predictions for term in self.terms.values())
        self.student_head = _head_name(student_spec) if needs_head else None
        self.teacher_head = _head_name(teacher_spec) if needs_head else None
        self._reads_rois = any(term.needs_rois for term in self.terms.values())
        self._teacher = FrozenTeacher(
            teacher_model,
            InputRenormalization(student_model.data_preprocessor, teacher_model.data_preprocessor),
            head=self.teacher_head,
        )
        print_log(self._report(student_spec, teacher_spec, weights), logger="current")

    @property
    def teacher(self) -> BaseDetector:
        """The built teacher: frozen, in eval mode, not a submodule."""
        return self._teacher.detector

    @property
    def terms(self) -> dict[str, DistillationTerm]:
        """The distillation terms by name."""
        return cast(dict[str, DistillationTerm], dict(self.distill.items()))

    def init_weights(self) -> None:
        """Initialise the student as plain training would, then inherit if asked to."""
        self.student.init_weights()
        if self.student_init == "inherit":
            print_log(inherit_from_teacher(self.student, self.teacher), logger="current")

    def train(self, mode: bool = True) -> "TeacherStudentDetector":
        """Set the mode of the student and the terms; the teacher stays in eval mode."""
        super().train(mode)
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
        if not (self.distilling and len(self.distill)):
            losses = self.student.loss(batch_inputs, batch_data_samples)
            return {**losses, **self._keep_in_graph()}
        gt_boxes = [
            get_box_tensor(sample.gt_instances.bboxes).detach() for sample in batch_data_samples
        ]
        teacher_features, teacher_output = self._teacher(batch_inputs, batch_data_samples)
        with self._tap_student() as tap:
            losses = dict(self.student.loss(batch_inputs, batch_data_samples))
        student_rois = self._student_rois(tap) if self._reads_rois else None
        teacher_rois = student_rois and predict_rois(
            self.teacher,
            teacher_features,
            [stage.rois for stage in student_rois],
            batch_data_samples,
        )
        views = (
            _view(
                self.student,
                self.student_head,
                tap.outputs["features"],
                tap.outputs.get("head"),
                gt_boxes,
                student_rois,
            ),
            _view(
                self.teacher,
                self.teacher_head,
                teacher_features,
                teacher_output,
                gt_boxes,
                teacher_rois,
            ),
        )
        student_view, teacher_view = self._pyramids.views(*views)
        with without_autocast(batch_inputs.device):
            for name, term in self.terms.items():
                for key, value in term(student_view, teacher_view).items():
                    losses[f"{name}.{key}"] = value
        return losses

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
        """
        teacher_inputs = self._teacher.renormalize(batch_inputs, batch_data_samples)
        return self._pyramids.views(
            View(*predict_densely(self.student, batch_inputs), gt_boxes),
            View(*predict_densely(self.teacher, teacher_inputs), gt_boxes),
        )

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

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        # Every way to move or cast a module, a parent's included, comes through here.
        super()._apply(fn, recurse)
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

    def _keep_in_graph(self) -> dict[str, Tensor]:
        # DistributedDataParallel fails on parameters that take no part in the loss.
        parameters = list(self.distill.parameters())
        if not (is_distributed() and parameters):
            return {}
        return {"distill.loss_idle": 0 * torch.stack([p.sum() for p in parameters]).sum()}

    def _report(
        self,
        student: DetectorSpec,
        teacher: DetectorSpec,
        weights: TeacherWeights | None,
    ) -> str:
        if weights:
            loaded = (
                f"{weights.num_keys} tensors from {weights.source} (none missing, none unexpected)"
            )
        else:
            loaded = "RANDOM (allow_random_teacher=True): good for trials only"
        classes = f"{len(self.teacher_classes)}" if self.teacher_classes else "not said"
        lines = [
            f"Distilling {teacher.type} (teacher) into {student.type} (student).",
            f"  teacher weights: {loaded}; classes in the checkpoint: {classes}",
            f"  features: {student.pyramid()} <- {teacher.pyramid()}",
        ]
        for name, term in self.terms.items():
            acts_on = [student.neck]
            if term.needs_predictions and student.head and teacher.head:
                acts_on.append(f"{_head(student)} <- {_head(teacher)}")
            if term.needs_rois and student.roi and teacher.roi:
                acts_on.append(f"roi_head ({_roi(student.roi)}) <- ({_roi(teacher.roi)})")
            lines.append(f"  term {name}: {term.describe()} on {', '.join(acts_on)}")
        if not self.distill:
            lines.append("  no distillation term: this is plain training of the student")
        return "\n".join(lines)

    def _tap_student(self) -> OutputRecorder:
        student = self.student
        tapped = {"features": student.neck if student.with_neck else student.backbone}
        if self.student_head:
            tapped["head"] = getattr(student, self.student_head)
        stages: dict[str, nn.Module] = {}
        if self._reads_rois:
            for index, (extractor, box_head) in enumerate(roi_stages(student.roi_head)):
                stages |= {f"proposals_{index}": extractor, f"roi_{index}": box_head}
        # A cascade stops early where no proposal is left.
        return OutputRecorder(tapped | stages, optional=stages)

    def _student_rois(self, tap: OutputRecorder) -> tuple[RoIPredictions, ...]:
        stages = []
        for index, (_, box_head) in enumerate(roi_stages(self.student.roi_head)):
            if f"roi_{index}" in tap.outputs:
                _, proposals = tap.inputs[f"proposals_{index}"]
                stages.append(read_box_head(box_head, proposals, tap.outputs[f"roi_{index}"]))
            else:
                # Every rank must come to the same normalisers, with proposals or without.
                stages.append(no_predictions(tap.outputs["features"][0], box_head.num_classes))
        return tuple(stages)

    def _check_needs(self, student: DetectorSpec, teacher: DetectorSpec) -> None:
        for name, term in self.terms.items():
            for spec in (student, teacher):
                missing = {}
                if term.needs_predictions and spec.head is None:
                    missing["dense predictions"] = spec.head_error
                if term.needs_rois and spec.roi is None:
                    missing["a second stage"] = spec.roi_error
                for need, reason in missing.items():
                    raise UnsuitablePairError(
                        name,
                        f"{type(term).__name__} needs {need}, which the {spec.role} does not "
                        f"give: {reason}",
                        f"Drop the term with distill={{'{name}': None}} or take another "
                        f"{spec.role}.",
                        needs=need,
                    )


def _fill_teacher(teacher: BaseDetector, source: str | None) -> TeacherWeights | None:
    if source is None:
        teacher.init_weights()
        return None
    return load_teacher(teacher, source)


def _build_terms(
    configs: Mapping[str, Mapping[str, Any] | None],
) -> dict[str, DistillationTerm]:
    terms = {}
    for name, config in configs.items():
        if config is None:
            continue
        term_class = MODELS.get(str(config.get("type")))
        if not (isinstance(term_class, type) and issubclass(term_class, DistillationTerm)):
            known = sorted(
                f"tbd.{key}"
                for key, value in MODELS.module_dict.items()
                if isinstance(value, type) and issubclass(value, DistillationTerm)
            )
            raise ValueError(
                f"distill.{name}.type={config.get('type')!r} is no distillation term; "
                f"there are {', '.join(known)}."
            )
        try:
            terms[name] = MODELS.build(ConfigDict(config))
        except (TypeError, ValueError) as error:
            raise type(error)(f"distill.{name}: {error}") from error
    return terms


def _check_class_counts(student: BaseDetector, teacher: BaseDetector) -> None:
    counts = count_classes(student), count_classes(teacher)
    if counts[0] != counts[1]:
        raise ValueError(
            f"The student tells apart {counts[0]} classes and the teacher {counts[1]}. Set "
            "num_classes of the bbox_head in student_options to the data set's classes and take a "
            "teacher trained on them; or, where the terms compare no classes (features, an RPN), "
            "allow_class_mismatch=True."
        )


def _view(
    detector: BaseDetector,
    head: str | None,
    features: tuple[Tensor, ...],
    outputs: Any,
    gt_boxes: list[Tensor],
    rois: tuple[RoIPredictions, ...] | None,
) -> View:
    predictions = build_adapter(getattr(detector, head))(outputs) if head else None
    return View(tuple(features), predictions, gt_boxes, rois)


def _head_name(spec: DetectorSpec) -> str | None:
    return spec.head.name if spec.head else None


def _head(spec: DetectorSpec) -> str:
    assert spec.head is not None
    anchors = "/".join(map(str, sorted(set(spec.head.anchors_per_location))))
    return f"{spec.head.name} ({spec.head.type}, {anchors} anchors)"


def _roi(spec: RoISpec) -> str:
    return f"{spec.type}, {spec.num_stages} stage{'s' if spec.num_stages > 1 else ''}"
