"""Which pyramid level of the teacher each level of the student learns from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch.nn.functional import interpolate

from tbd.distill import DetectorSpec, View
from tbd.precision import at_least_float32


@dataclass(frozen=True)
class PyramidMatch:
    """A pairing of pyramid levels, of features and dense predictions alike.

    Args:
        student_levels: Indices into the student's pyramid.
        teacher_levels: As many indices into the teacher's.
        resize: Bring the teacher's maps to the size of the student's.
    """

    student_levels: tuple[int, ...]
    teacher_levels: tuple[int, ...]
    resize: bool

    def views(self, student: View, teacher: View) -> tuple[View, View]:
        """Select the paired levels of one step's views.

        Features are resized bilinearly, harmony maps by the maximum over the
        cells that fall together.

        Raises:
            ValueError: if the sizes differ and are not to be resized.
        """
        student = student.select(self.student_levels)
        teacher = teacher.select(self.teacher_levels)
        sizes = student.sizes()
        if not teacher.features or teacher.sizes() == sizes:
            return student, teacher
        if not self.resize:
            raise ValueError(
                f"The same images give feature maps of {list(map(list, sizes))} (height, width) in "
                f"the student and {list(map(list, teacher.sizes()))} in the teacher. Set "
                "data_preprocessor.pad_size_divisor of the student to a multiple of both "
                "detectors' largest stride, or model.resize=True."
            )
        resized = tuple(
            level
            if level.shape[2:] == size
            else interpolate(at_least_float32(level), size, mode="bilinear", antialias=True)
            for level, size in zip(teacher.features, sizes, strict=True)
        )
        return student, replace(teacher, features=resized, resized_to=sizes)


def match_pyramids(
    student: DetectorSpec,
    teacher: DetectorSpec,
    level_map: Sequence[Sequence[int]] | None = None,
    resize: bool = False,
) -> PyramidMatch:
    """Pair the levels of two pyramids.

    Args:
        student: The student.
        teacher: The teacher.
        level_map: Pairs (student's level, teacher's level), counted from 0. None
            pairs all levels in their order, which must be as many.
        resize: Accept paired levels of different strides.

    Returns:
        The pairing.

    Raises:
        ValueError: if the pyramids cannot be paired so, naming both and the
            config key to change.
    """
    pyramids = f"\n    {_describe(student)}\n    {_describe(teacher)}\n"
    if level_map is None:
        if len(student.strides) != len(teacher.strides):
            raise ValueError(
                f"Student and teacher have different pyramids:{pyramids}{_advice(student, teacher)}"
            )
        pairs = [(level, level) for level in range(len(student.strides))]
    else:
        pairs = _checked(level_map, student, teacher, pyramids)
    match = PyramidMatch(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs), resize)
    strides = [
        tuple(spec.strides[level] for level in levels)
        for spec, levels in ((student, match.student_levels), (teacher, match.teacher_levels))
    ]
    if strides[0] != strides[1] and not resize:
        raise ValueError(
            f"Paired pyramid levels have strides {_text(strides[0])} in the student and "
            f"{_text(strides[1])} in the teacher:{pyramids}{_advice(student, teacher)}"
        )
    return match


def _checked(
    level_map: Sequence[Sequence[int]], student: DetectorSpec, teacher: DetectorSpec, pyramids: str
) -> list[tuple[int, int]]:
    valid = len(level_map) > 0 and all(
        len(pair) == 2
        and 0 <= pair[0] < len(student.strides)
        and 0 <= pair[1] < len(teacher.strides)
        for pair in level_map
    )
    if not valid or len({pair[0] for pair in level_map}) < len(level_map):
        raise ValueError(
            f"model.level_map={[tuple(pair) for pair in level_map]} must be pairs (student's "
            f"level, teacher's level), counted from 0, none of the student's twice:{pyramids}"
            f"{_advice(student, teacher)}"
        )
    return [(pair[0], pair[1]) for pair in level_map]


def _advice(student: DetectorSpec, teacher: DetectorSpec) -> str:
    equal = [
        (level, teacher.strides.index(stride))
        for level, stride in enumerate(student.strides)
        if stride in teacher.strides
    ]
    advice = (
        f"Make them equal by student_options.{student.neck} or teacher_options.{teacher.neck} "
        "(start_level, num_outs, add_extra_convs)"
    )
    if equal:
        advice += f", pair the levels of equal stride by model.level_map={equal}"
    return (
        f"{advice}, or pair levels of other strides by model.level_map with model.resize=True, "
        "which brings the teacher's maps to the student's size."
    )


def _describe(spec: DetectorSpec) -> str:
    return f"{spec.role} {spec.type}: {spec.pyramid()}"


def _text(strides: tuple[tuple[int, int], ...]) -> str:
    return "/".join("x".join(map(str, sorted(set(stride)))) for stride in strides)
