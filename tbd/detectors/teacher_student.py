"""One wrapper that distills any pair of MMDetection detectors."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import SampleList
from mmengine.config import ConfigDict
from mmengine.dist import is_distributed
from mmengine.logging import print_log
from torch import Tensor, nn

from tbd.detectors.classes import count_classes
from tbd.detectors.dense_inference import predict_densely
from tbd.detectors.frozen_teacher import FrozenTeacher
from tbd.detectors.inspection import inspect_detector
from tbd.detectors.model_config import build_detector, resolve_model_config
from tbd.detectors.pyramids import PyramidMatch, match_pyramids
from tbd.detectors.randomness import isolated_randomness
from tbd.detectors.reader import (
    PYRAMID_READS,
    SECOND_STAGE,
    DetectorReader,
    Reading,
    find_modules,
)
from tbd.detectors.renormalization import InputRenormalization
from tbd.detectors.weights import (
    TeacherWeights,
    inherit_from_teacher,
    load_teacher,
    without_pretrained,
)
from tbd.distill import (
    DetectorSpec,
    DistillationTerm,
    GroundTruth,
    Progress,
    Read,
    RoISpec,
    UnsuitablePairError,
    View,
    build_terms,
)
from tbd.precision import without_autocast
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
            that an inheriting config can drop a term. The key ``schedule`` of
            any term lets its weight follow a :class:`~tbd.distill.WeightSchedule`.
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
            terms, self._schedules = build_terms(distill or {})
            self.distill = nn.ModuleDict(terms)
            readings = _readings(terms, student_model, teacher_model)
            student_spec = inspect_detector(student_model, "student", probe_size, readings[0])
            teacher_spec = inspect_detector(teacher_model, "teacher", probe_size, readings[1])
            _check_needs(terms, student_spec, teacher_spec)
            self._pyramids = _pair_pyramids(
                student_spec, teacher_spec, level_map, resize, readings[0].reads
            )
            if self._pyramids is not None:
                student_spec = student_spec.select(self._pyramids.student_levels)
                teacher_spec = teacher_spec.select(self._pyramids.teacher_levels)
            if not allow_class_mismatch:
                _check_class_counts(student_model, teacher_model)
            for name, term in terms.items():
                try:
                    term.connect(student_spec, teacher_spec)
                except ValueError as error:
                    raise UnsuitablePairError(name, str(error)) from error
        self.teacher_classes = weights.classes if weights else None
        self._student_reader = DetectorReader(student_model, "student", readings[0])
        self._teacher = FrozenTeacher(
            teacher_model,
            InputRenormalization(student_model.data_preprocessor, teacher_model.data_preprocessor),
            readings[1],
        )
        self.student_head = self._student_reader.head
        self.teacher_head = self._teacher.head
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
        factors = self._factors() if self.distilling else {}
        active = [name for name, factor in factors.items() if factor > 0]
        if not active:
            losses = self.student.loss(batch_inputs, batch_data_samples)
            return {**losses, **self._keep_in_graph(self.terms.values())}
        gt = GroundTruth.of(batch_inputs, batch_data_samples)
        teacher_view = self._teacher(batch_inputs, batch_data_samples, gt)
        with self._student_reader.recorder() as record:
            losses = dict(self.student.loss(batch_inputs, batch_data_samples))
        student_view = self._student_reader.view(record, gt, batch_inputs)
        rois = self._student_reader.rois(record)
        if rois is not None:
            student_view = replace(student_view, rois=rois)
            teacher_view = self._teacher.add_rois(
                teacher_view, [stage.rois for stage in rois], batch_data_samples
            )
        if self._pyramids is not None:
            student_view, teacher_view = self._pyramids.views(student_view, teacher_view)
        with without_autocast(batch_inputs.device):
            for name in active:
                for key, value in self.terms[name](student_view, teacher_view).items():
                    losses[f"{name}.{key}"] = value * factors[name] if "loss" in key else value
        for name in self._schedules:
            losses[f"{name}.schedule"] = batch_inputs.new_tensor(factors[name])
        idle = [term for name, term in self.distill.items() if name not in active]
        return {**losses, **self._keep_in_graph(idle)}

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
        if self._pyramids is None:
            raise ValueError(
                "The pyramids of student and teacher differ and their levels are not paired; set "
                "model.level_map."
            )
        gt = GroundTruth.of_boxes(batch_inputs, gt_boxes)
        teacher_inputs = self._teacher.renormalize(batch_inputs, batch_data_samples)
        views = []
        for detector, inputs in ((self.student, batch_inputs), (self.teacher, teacher_inputs)):
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

    def _keep_in_graph(self, idle: Iterable[nn.Module]) -> dict[str, Tensor]:
        # DistributedDataParallel fails on parameters that take no part in the loss.
        parameters = [p for term in idle for p in term.parameters()]
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
            schedule = f" [{self._schedules[name]}]" if name in self._schedules else ""
            acts_on = ", ".join(_acts_on(term, student, teacher))
            lines.append(f"  term {name}: {term.describe()} on {acts_on}{schedule}")
        if not self.distill:
            lines.append("  no distillation term: this is plain training of the student")
        return "\n".join(lines)


def _fill_teacher(teacher: BaseDetector, source: str | None) -> TeacherWeights | None:
    if source is None:
        teacher.init_weights()
        return None
    return load_teacher(teacher, source)


def _readings(
    terms: Mapping[str, DistillationTerm], student: BaseDetector, teacher: BaseDetector
) -> tuple[Reading, Reading]:
    """What the terms together read of the student and of the teacher."""
    reads: frozenset[Read] = frozenset()
    paths: dict[str, dict[str, None]] = {"student": {}, "teacher": {}}
    for name, term in terms.items():
        reads |= term.reads
        for role, detector, modules in (
            ("student", student, term.student_modules),
            ("teacher", teacher, term.teacher_modules),
        ):
            try:
                find_modules(detector, role, modules)
            except ValueError as error:
                raise UnsuitablePairError(name, str(error)) from error
            paths[role].update(dict.fromkeys(modules))
    if any(path.partition(".")[0] == SECOND_STAGE for path in paths["teacher"]):
        # The teacher's second stage has no proposals but the student's.
        reads |= {"rois"}
    return Reading(reads, tuple(paths["student"])), Reading(reads, tuple(paths["teacher"]))


def _pair_pyramids(
    student: DetectorSpec,
    teacher: DetectorSpec,
    level_map: Sequence[Sequence[int]] | None,
    resize: bool,
    reads: frozenset[Read],
) -> PyramidMatch | None:
    try:
        return match_pyramids(student, teacher, level_map, resize)
    except ValueError:
        if reads & PYRAMID_READS or level_map is not None:
            raise
        return None


def _check_needs(
    terms: Mapping[str, DistillationTerm], student: DetectorSpec, teacher: DetectorSpec
) -> None:
    for name, term in terms.items():
        for spec in (student, teacher):
            for read, (need, reason) in _missing(term.reads, spec).items():
                raise UnsuitablePairError(
                    name,
                    f"needs {need}, which the {spec.role} does not give: {reason}",
                    f"Drop the term with distill={{'{name}': None}} or take another {spec.role}.",
                    needs=read,
                )


def _missing(reads: frozenset[Read], spec: DetectorSpec) -> dict[Read, tuple[str, str]]:
    """What is read and this detector does not give, in words, and why not."""
    missing: dict[Read, tuple[str, str]] = {}
    if spec.head is None:
        missing["predictions"] = ("dense predictions", spec.head_error)
        missing["head"] = ("a dense head", spec.head_error)
    if spec.head is None or spec.head.towers is None:
        reason = spec.head.towers_error if spec.head else spec.head_error
        missing["head_features"] = ("separate class and box towers of its dense head", reason)
    if spec.roi is None:
        missing["rois"] = ("a second stage", spec.roi_error)
    if spec.queries is None:
        missing["queries"] = ("a decoder of queries", spec.queries_error)
    return {read: found for read, found in missing.items() if read in reads}


def _acts_on(term: DistillationTerm, student: DetectorSpec, teacher: DetectorSpec) -> Iterator[str]:
    """What a term compares, in words, ``student <- teacher``."""
    reads = term.reads
    if "features" in reads or "predictions" in reads:
        yield f"{student.neck} <- {teacher.neck}"
    if "backbone" in reads:
        yield "backbone <- backbone"
    if reads & {"predictions", "head", "head_features"} and student.head and teacher.head:
        yield f"{_head(student)} <- {_head(teacher)}"
    if "queries" in reads and student.queries and teacher.queries:
        yield f"{student.queries.type} <- {teacher.queries.type}"
    if "rois" in reads and student.roi and teacher.roi:
        yield f"roi_head ({_roi(student.roi)}) <- ({_roi(teacher.roi)})"
    if term.student_modules or term.teacher_modules:
        yield f"{'/'.join(term.student_modules)} <- {'/'.join(term.teacher_modules)}"


def _check_class_counts(student: BaseDetector, teacher: BaseDetector) -> None:
    counts = count_classes(student), count_classes(teacher)
    if counts[0] != counts[1]:
        raise ValueError(
            f"The student tells apart {counts[0]} classes and the teacher {counts[1]}. Set "
            "num_classes of the bbox_head in student_options to the data set's classes and take a "
            "teacher trained on them; or, where the terms compare no classes (features, an RPN), "
            "allow_class_mismatch=True."
        )


def _head(spec: DetectorSpec) -> str:
    assert spec.head is not None
    anchors = "/".join(map(str, sorted(set(spec.head.anchors_per_location))))
    return f"{spec.head.name} ({spec.head.type}, {anchors} anchors)"


def _roi(spec: RoISpec) -> str:
    return f"{spec.type}, {spec.num_stages} stage{'s' if spec.num_stages > 1 else ''}"
