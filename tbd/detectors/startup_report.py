"""What a distillation says of itself before it starts."""

from collections.abc import Iterator, Mapping

from tbd.detectors.connection import Connection
from tbd.detectors.weights import TeacherWeights
from tbd.distill import NO_TEACHER, DetectorSpec, DistillationTerm, RoISpec, WeightSchedule


def startup_report(
    connection: Connection,
    terms: Mapping[str, DistillationTerm],
    schedules: Mapping[str, WeightSchedule],
    weights: TeacherWeights | None,
    student_weights: str | None = None,
) -> str:
    """Say which teacher teaches which student, with which weights, and what each term acts on.

    Args:
        connection: The pair.
        terms: The terms by name.
        schedules: Schedules of those terms that have one.
        weights: What was loaded into the teacher; None for random weights.
        student_weights: What was loaded into the student, in words, if anything was.
    """
    student, teacher = connection.student, connection.teacher
    lines = [f"Training {student.type} (student) without a teacher."]
    if teacher is not None:
        lines = _on_teacher(student, teacher, weights)
    if student_weights is not None:
        lines.append(f"  student weights: {student_weights}")
    if connection.classes is not None:
        lines.append(f"  classes: {connection.classes}")
    for name, term in terms.items():
        schedule = f" [{schedules[name]}]" if name in schedules else ""
        if term.auto_weight is not None:
            schedule += " [times a weight that is set automatically]"
        acts_on = ", ".join(_acts_on(term, student, teacher or NO_TEACHER))
        lines.append(f"  term {name}: {term.describe()} on {acts_on}{schedule}")
    if not terms:
        lines.append("  no distillation term: this is plain training of the student")
    return "\n".join(lines)


def _on_teacher(
    student: DetectorSpec, teacher: DetectorSpec, weights: TeacherWeights | None
) -> list[str]:
    if weights:
        loaded = f"{weights.num_keys} tensors from {weights.source} (none missing, none unexpected)"
    else:
        loaded = "RANDOM (allow_random_teacher=True): good for trials only"
    classes = f"{len(weights.classes)}" if weights and weights.classes else "not said"
    return [
        f"Distilling {teacher.type} (teacher) into {student.type} (student).",
        f"  teacher weights: {loaded}; classes in the checkpoint: {classes}",
        f"  features: {student.pyramid()} <- {teacher.pyramid()}",
    ]


def _acts_on(term: DistillationTerm, student: DetectorSpec, teacher: DetectorSpec) -> Iterator[str]:
    """What a term compares, in words, ``student <- teacher``."""
    reads = term.reads
    if not term.reads_teacher:
        yield f"the student's {', '.join(sorted(reads))}"
        return
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


def _head(spec: DetectorSpec) -> str:
    assert spec.head is not None
    anchors = "/".join(map(str, sorted(set(spec.head.anchors_per_location))))
    return f"{spec.head.name} ({spec.head.type}, {anchors} anchors)"


def _roi(spec: RoISpec) -> str:
    return f"{spec.type}, {spec.num_stages} stage{'s' if spec.num_stages > 1 else ''}"
