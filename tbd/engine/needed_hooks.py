"""What a distillation needs in order to be right, whatever hooks its config lists."""

from tbd.compat import bring_hooks
from tbd.detectors import TeacherStudentDetector
from tbd.registry import HOOKS

NEEDED_HOOKS = {
    "config_check": "ConfigCheckHook",
    "data_check": "TrainingDataCheckHook",
    "seed": "EpochSeedHook",
    "class_check": "ClassListCheckHook",
    "finite_check": "FiniteCheckHook",
    "resume_check": "ResumeCheckHook",
    "resume_state": "ResumeStateHook",
    "export": "StudentExportHook",
}
"""Type of each hook of a distillation; ``default_hooks=dict(<name>=None)`` switches one off."""


def bring_needed_hooks() -> None:
    """Let every Runner of a distillation register the hooks that its config does not have."""
    types = {name: HOOKS.get(f"tbd.{kind}") for name, kind in NEEDED_HOOKS.items()}
    bring_hooks(types, trains=TeacherStudentDetector)
