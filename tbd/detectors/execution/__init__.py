"""How the detectors of a distillation are executed: precision, layout, compilation, streams."""

from tbd.detectors.execution.options import CompileOptions, StudentExecution, TeacherExecution

__all__ = ["CompileOptions", "StudentExecution", "TeacherExecution"]
