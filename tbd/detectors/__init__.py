"""The teacher-student wrapper and what belongs to building it."""

from tbd.detectors.dense_inference import predict_densely
from tbd.detectors.execution import CompileOptions, StudentExecution, TeacherExecution
from tbd.detectors.model_config import build_detector, resolve_model_config
from tbd.detectors.teacher_student import TeacherStudentDetector
from tbd.detectors.weights import student_state_dict

__all__ = [
    "CompileOptions",
    "StudentExecution",
    "TeacherExecution",
    "TeacherStudentDetector",
    "build_detector",
    "predict_densely",
    "resolve_model_config",
    "student_state_dict",
]
