"""Which class of the teacher is which of the student's, for class lists that overlap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tbd.distill import DetectorSpec, View


@dataclass(frozen=True)
class ClassMatch:
    """A pairing of classes, of predictions and ground truth alike.

    Heads that tell no classes apart, such as an RPN, stay as they are.

    Args:
        student_classes: Classes of the student.
        teacher_classes: As many of the teacher's.
        student_count: Number of classes of the student.
        teacher_count: Number of classes of the teacher.
    """

    student_classes: tuple[int, ...]
    teacher_classes: tuple[int, ...]
    student_count: int
    teacher_count: int

    def specs(
        self, student: DetectorSpec, teacher: DetectorSpec
    ) -> tuple[DetectorSpec, DetectorSpec]:
        """Describe both detectors as if they had the paired classes only."""
        return (
            _described(student, self.student_count, len(self.student_classes)),
            _described(teacher, self.teacher_count, len(self.teacher_classes)),
        )

    def views(self, student: View, teacher: View) -> tuple[View, View]:
        """Show the paired classes of one step's views only, numbered in the order of the pairs."""
        gt = student.gt.select_classes(self.student_classes)
        return (
            replace(_selected(student, self.student_count, self.student_classes), gt=gt),
            replace(_selected(teacher, self.teacher_count, self.teacher_classes), gt=gt),
        )

    def names(self, teacher: Sequence[str], student: Sequence[str]) -> list[str]:
        """Say which class is taken for which.

        Args:
            teacher: Names of the teacher's classes.
            student: Names of the student's.
        """
        return [
            f"{teacher[index_t]!r} of the teacher is {student[index_s]!r}"
            for index_t, index_s in zip(self.teacher_classes, self.student_classes, strict=True)
            if index_t < len(teacher) and index_s < len(student)
        ]

    def __str__(self) -> str:
        """The pairs in words."""
        pairs = zip(self.student_classes, self.teacher_classes, strict=True)
        return (
            f"{len(self.student_classes)} of {self.student_count} <- {self.teacher_count} "
            f"({', '.join(f'{student} <- {teacher}' for student, teacher in pairs)})"
        )


def match_classes(
    class_map: Mapping[int, int] | Sequence[Sequence[int]],
    student_count: int | None,
    teacher_count: int | None,
) -> ClassMatch:
    """Pair the classes of two detectors.

    Args:
        class_map: Pairs (teacher's class, student's class), counted from 0, or
            a mapping from the one to the other.
        student_count: Number of classes of the student.
        teacher_count: Number of classes of the teacher.

    Returns:
        The pairing, in the order of the student's classes.

    Raises:
        ValueError: if the pairs are none, not of two classes that exist, or
            name a class twice.
    """
    given = class_map.items() if isinstance(class_map, Mapping) else class_map
    pairs = [tuple(pair) for pair in given]
    if student_count is None or teacher_count is None:
        raise ValueError(
            f"model.class_map={pairs} pairs classes, but the "
            f"{'student' if student_count is None else 'teacher'} does not say how many it tells "
            "apart (num_classes of its bbox_head)."
        )
    valid = len(pairs) > 0 and all(
        len(pair) == 2
        and all(isinstance(index, int) and not isinstance(index, bool) for index in pair)
        and 0 <= pair[0] < teacher_count
        and 0 <= pair[1] < student_count
        for pair in pairs
    )
    if not valid:
        raise ValueError(
            f"model.class_map={pairs} must be pairs (teacher's class, student's class) of numbers "
            f"from 0; the teacher has {teacher_count} classes, the student {student_count}."
        )
    if any(len(set(side)) < len(pairs) for side in zip(*pairs, strict=True)):
        raise ValueError(
            f"model.class_map={pairs} names a class twice; class scores are compared one by one, "
            "so pair each class with one other and leave the rest out."
        )
    pairs.sort(key=lambda pair: pair[1])
    teacher_classes, student_classes = zip(*pairs, strict=True)
    return ClassMatch(student_classes, teacher_classes, student_count, teacher_count)


def _described(spec: DetectorSpec, count: int, shared: int) -> DetectorSpec:
    parts = {
        name: replace(part, num_classes=shared)
        for name, part in (("head", spec.head), ("roi", spec.roi), ("queries", spec.queries))
        if part is not None and part.num_classes == count
    }
    return replace(spec, **parts)  # type: ignore[arg-type]


def _selected(view: View, count: int, classes: tuple[int, ...]) -> View:
    predictions, head = view.predictions, view.head
    queries, rois = view.queries, view.rois
    if predictions is not None and predictions.num_classes == count:
        predictions = predictions.select_classes(classes)
    if head is not None and head.num_classes == count:
        head = head.select_classes(classes)
    return replace(
        view,
        predictions=predictions,
        head=head,
        queries=queries and queries.select_classes(classes),
        rois=rois and tuple(stage.select_classes(classes) for stage in rois),
    )
