"""The teacher-student wrapper and what belongs to building it."""

from tbd.detectors.model_config import build_detector, resolve_model_config
from tbd.detectors.teacher_student import TeacherStudentDetector
from tbd.detectors.weights import student_state_dict

__all__ = [
    "TeacherStudentDetector",
    "build_detector",
    "resolve_model_config",
    "student_state_dict",
]
