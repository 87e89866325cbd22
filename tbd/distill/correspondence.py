"""Whether the predictions of two dense heads can be compared one by one."""

from tbd.distill.spec import DetectorSpec, HeadSpec

_ADVICE = (
    "Take a teacher with a head like the student's, or a term that compares locations "
    "(tbd.HarmonyDistillation) or features (tbd.PearsonFeatureDistillation)."
)


def check_correspondence(student: DetectorSpec, teacher: DetectorSpec, same_priors: bool) -> None:
    """Make sure that the same index means the same prediction in both heads.

    Args:
        student: The student.
        teacher: The teacher.
        same_priors: Their priors must coincide, for what is relative to them.
            Without, heads of one prediction per location may differ in them,
            for what is compared are decoded boxes.

    Raises:
        ValueError: if it does not, naming both heads and what would do.
    """
    head_s, head_t = heads_of(student, teacher)
    names = f"the student's {head_s.type} and the teacher's {head_t.type}"
    if student.strides != teacher.strides:
        raise ValueError(
            f"predictions of {names} are compared one by one, but the paired pyramid levels have "
            f"strides {list(student.strides)} and {list(teacher.strides)} (vertical, horizontal); "
            f"model.resize brings features to one size, not predictions. {_ADVICE}"
        )
    anchors = head_s.anchors_per_location, head_t.anchors_per_location
    if anchors[0] != anchors[1]:
        raise ValueError(
            f"{names} predict {list(anchors[0])} and {list(anchors[1])} boxes per location of each "
            f"level, which do not correspond one to one. {_ADVICE}"
        )
    if (same_priors or set(anchors[0]) != {1}) and head_s.prior_layout != head_t.prior_layout:
        raise ValueError(
            f"{names} predict relative to different anchors or points, so their predictions do "
            f"not correspond one to one. {_ADVICE}"
        )


def check_classes(student: DetectorSpec, teacher: DetectorSpec) -> None:
    """Make sure that both dense heads tell apart as many classes.

    Raises:
        ValueError: if they do not, naming both and the config key to change.
    """
    head_s, head_t = heads_of(student, teacher)
    check_class_counts(head_s.type, head_s.num_classes, head_t.type, head_t.num_classes)


def check_class_scores(student: DetectorSpec, teacher: DetectorSpec) -> bool:
    """Make sure that the same index means the same class of the same prediction in both heads.

    Returns:
        Whether classes are compared. The only score of an RPN is that of an object, whatever it is.

    Raises:
        ValueError: if it does not, naming both heads and what would do.
    """
    check_classes(student, teacher)
    check_correspondence(student, teacher, same_priors=False)
    return heads_of(student, teacher)[0].num_classes > 1


def check_class_counts(type_s: str, count_s: int, type_t: str, count_t: int) -> None:
    """Make sure that two heads tell apart as many classes.

    Raises:
        ValueError: if they do not, naming both and the config key to change.
    """
    if count_s != count_t:
        raise ValueError(
            f"the student's {type_s} tells apart {count_s} classes and the teacher's {type_t} "
            f"{count_t}, and class scores are never paired by their index alone. Take a teacher "
            "trained on the student's classes, or say which classes of the teacher are which of "
            "the student by model.class_map."
        )


def heads_of(student: DetectorSpec, teacher: DetectorSpec) -> tuple[HeadSpec, HeadSpec]:
    """The dense heads of both sides, which whoever reads predictions has been promised."""
    assert student.head is not None
    assert teacher.head is not None
    return student.head, teacher.head
