"""How the terms of a distillation are connected to a pair of detectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mmdet.models.detectors.base import BaseDetector

from tbd.detectors.class_map import ClassMatch, match_classes
from tbd.detectors.classes import count_classes
from tbd.detectors.inspection import inspect_detector
from tbd.detectors.pyramids import PyramidMatch, match_pyramids
from tbd.detectors.reader import PYRAMID_READS, SECOND_STAGE, Reading, find_modules
from tbd.distill import (
    NO_TEACHER,
    DetectorSpec,
    DistillationTerm,
    Read,
    UnsuitablePairError,
)


@dataclass(frozen=True)
class Connection:
    """What is known of a pair once its terms are connected.

    Attributes:
        student: The student, its pyramid levels those that are compared.
        teacher: The teacher, likewise; None where there is none.
        student_reading: What the terms together read of the student.
        teacher_reading: Likewise of the teacher.
        pyramids: Pairing of their levels; None where they cannot be paired and
            no term compares them.
        classes: Pairing of their classes; None where all are compared as they are.
    """

    student: DetectorSpec
    teacher: DetectorSpec | None
    student_reading: Reading
    teacher_reading: Reading
    pyramids: PyramidMatch | None
    classes: ClassMatch | None


def connect(
    terms: Mapping[str, DistillationTerm],
    student: BaseDetector,
    teacher: BaseDetector | None,
    *,
    level_map: Sequence[Sequence[int]] | None,
    resize: bool,
    probe_size: int,
    allow_class_mismatch: bool,
    class_map: Mapping[int, int] | Sequence[Sequence[int]] | None,
) -> Connection:
    """Inspect two detectors and connect every term to them.

    Args:
        terms: The terms by name.
        student: The student.
        teacher: The teacher, or None where no term reads one.
        level_map: Pairs (student's pyramid level, teacher's), or None.
        resize: Accept paired levels of different strides.
        probe_size: Height and width of the image that is run through both.
        allow_class_mismatch: Accept detectors that tell apart other numbers of classes.
        class_map: Pairs (teacher's class, student's), or None.

    Returns:
        What was found.

    Raises:
        UnsuitablePairError: if a detector does not give what a term reads, or a
            term refuses the pair.
        ValueError: if the pyramids cannot be paired and a term compares them,
            or the numbers of classes differ.
    """
    readings = _readings(terms, student, teacher)
    student_spec = inspect_detector(student, "student", probe_size, readings[0])
    if teacher is None:
        _check_needs(terms, student_spec, None)
        _connect_each(terms, student_spec, None)
        return Connection(student_spec, None, *_settled(readings, terms), None, None)
    teacher_spec = inspect_detector(teacher, "teacher", probe_size, readings[1])
    _check_needs(terms, student_spec, teacher_spec)
    pyramids = _pair_pyramids(student_spec, teacher_spec, level_map, resize, readings[1].reads)
    if pyramids is not None:
        student_spec = student_spec.select(pyramids.student_levels)
        teacher_spec = teacher_spec.select(pyramids.teacher_levels)
    counts = count_classes(student), count_classes(teacher)
    classes = None if class_map is None else match_classes(class_map, *counts)
    if classes is not None:
        student_spec, teacher_spec = classes.specs(student_spec, teacher_spec)
    elif not allow_class_mismatch:
        _check_class_counts(*counts)
    _connect_each(terms, student_spec, teacher_spec)
    readings = _settled(readings, terms)
    return Connection(student_spec, teacher_spec, *readings, pyramids, classes)


def _connect_each(
    terms: Mapping[str, DistillationTerm], student: DetectorSpec, teacher: DetectorSpec | None
) -> None:
    for name, term in terms.items():
        try:
            term.connect(student, teacher if teacher and term.reads_teacher else NO_TEACHER)
        except ValueError as error:
            raise UnsuitablePairError(name, str(error)) from error


def _check_class_counts(student: int | None, teacher: int | None) -> None:
    if student != teacher:
        raise ValueError(
            f"The student tells apart {student} classes and the teacher {teacher}. Set "
            "num_classes of the bbox_head in student_options to the data set's classes and take a "
            "teacher trained on them; or say which classes of the teacher are which of the "
            "student by model.class_map; or, where the terms compare no classes (features, an "
            "RPN), set allow_class_mismatch=True."
        )


def _readings(
    terms: Mapping[str, DistillationTerm], student: BaseDetector, teacher: BaseDetector | None
) -> tuple[Reading, Reading]:
    """What the terms together read of the student and of the teacher."""
    reads: dict[str, frozenset[Read]] = {"student": frozenset(), "teacher": frozenset()}
    paths: dict[str, dict[str, None]] = {"student": {}, "teacher": {}}
    for name, term in terms.items():
        reads["student"] |= term.reads
        if term.reads_teacher:
            reads["teacher"] |= term.reads
        for role, detector, modules in (
            ("student", student, term.student_modules),
            ("teacher", teacher, term.teacher_modules),
        ):
            if detector is None:
                continue
            try:
                find_modules(detector, role, modules)
            except ValueError as error:
                raise UnsuitablePairError(name, str(error)) from error
            paths[role].update(dict.fromkeys(modules))
    if any(path.partition(".")[0] == SECOND_STAGE for path in paths["teacher"]):
        # The teacher's second stage has no proposals but the student's.
        reads = {role: found | {"rois"} for role, found in reads.items()}
    return (
        Reading(reads["student"], tuple(paths["student"])),
        Reading(reads["teacher"], tuple(paths["teacher"])),
    )


def _settled(
    readings: tuple[Reading, Reading], terms: Mapping[str, DistillationTerm]
) -> tuple[Reading, Reading]:
    """What is read, with what terms know only once they are connected."""
    preactivations = [
        frozenset(depth for term in chosen for depth in term.preactivations)
        for chosen in (terms.values(), [term for term in terms.values() if term.reads_teacher])
    ]
    student, teacher = (
        replace(reading, preactivations=depths)
        for reading, depths in zip(readings, preactivations, strict=True)
    )
    return student, teacher


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
    terms: Mapping[str, DistillationTerm], student: DetectorSpec, teacher: DetectorSpec | None
) -> None:
    for name, term in terms.items():
        if term.reads_teacher and teacher is None:
            raise UnsuitablePairError(
                name,
                "needs a teacher, but model.teacher is None.",
                "Name a teacher and its teacher_ckpt, or keep only terms that bring their own.",
            )
        for spec in (student, teacher) if teacher and term.reads_teacher else (student,):
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
