"""What a distillation needs in order to be right, whatever hooks its config lists."""

from mmengine.hooks import Hook

from tbd.compat import bring_hooks
from tbd.detectors import TeacherStudentDetector
from tbd.engine.hooks.class_list import ClassListCheckHook
from tbd.engine.hooks.config_check import ConfigCheckHook
from tbd.engine.hooks.epoch_seed import EpochSeedHook
from tbd.engine.hooks.finite_check import FiniteCheckHook
from tbd.engine.hooks.resume_check import ResumeCheckHook
from tbd.engine.hooks.resume_state import ResumeStateHook
from tbd.engine.hooks.student_export import StudentExportHook
from tbd.engine.hooks.training_data import TrainingDataCheckHook

NEEDED_HOOKS: dict[str, type[Hook]] = {
    "config_check": ConfigCheckHook,
    "data_check": TrainingDataCheckHook,
    "seed": EpochSeedHook,
    "class_check": ClassListCheckHook,
    "finite_check": FiniteCheckHook,
    "resume_check": ResumeCheckHook,
    "resume_state": ResumeStateHook,
    "export": StudentExportHook,
}
"""Hooks of every distillation; ``default_hooks=dict(<name>=None)`` switches one off."""


def bring_needed_hooks() -> None:
    """Let every Runner of a distillation register the hooks that its config does not have."""
    bring_hooks(NEEDED_HOOKS, trains=TeacherStudentDetector)
