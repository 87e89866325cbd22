"""A distillation at random weights: can this pair carry these terms, and what does a step cost?"""

from collections.abc import Mapping
from typing import Any

from mmengine.config import ConfigDict

from tbd.detectors.model_config import resolve_model_config
from tbd.detectors.teacher_student import TeacherStudentDetector
from tbd.detectors.weights import without_pretrained
from tbd.distill import trial_terms
from tbd.registry import MODELS


def build_trial(model: Mapping[str, Any]) -> TeacherStudentDetector:
    """Build a distillation without any checkpoint, its terms as they need no training first.

    Args:
        model: Config of a :class:`~tbd.TeacherStudentDetector`; it is not changed.

    Raises:
        ImportError: A term needs a package that is not installed.
        ValueError: The pair cannot carry the terms.
    """
    config = ConfigDict(model)
    config.student = without_pretrained(
        resolve_model_config(config.student, config.pop("student_options", None), "model.student")
    )
    leave_out_checkpoints(config)
    built: TeacherStudentDetector = MODELS.build(config)
    return built


def leave_out_checkpoints(model: ConfigDict) -> None:
    """Let a distillation be built at random weights.

    Args:
        model: Config of a :class:`~tbd.TeacherStudentDetector`, changed in place.
    """
    model.update(
        teacher_ckpt=None,
        allow_random_teacher=True,
        student_ckpt=None,
        student_ckpt_partial=False,
    )
    # Not by update, which would merge what a trial takes into what the config has.
    model.distill = trial_terms(model.get("distill") or {})
