"""What a training needs in order to be right, whatever hooks its config lists."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from tbd.compat import bring_hooks, register_missing
from tbd.detectors import TeacherStudentDetector
from tbd.engine.wrappers import unwrap
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
    bring_hooks(_types(), trains=TeacherStudentDetector)


def complete_hooks(runner: Runner) -> None:
    """Give the training of any model what a distillation has by itself.

    The tools of ``tbd`` train teachers and plain students too: these resume as exactly, stop as
    soon when they become NaN, and have their classes and data looked at as well.
    """
    configured = runner.cfg.get("default_hooks") or {}
    off = [name for name in NEEDED_HOOKS if name in configured and configured[name] is None]
    plain = {name: kind for name, kind in _types().items() if name != "export"}
    if not isinstance(unwrap(runner.model), TeacherStudentDetector):
        register_missing(runner, plain, off)


def _types() -> dict[str, type[Hook]]:
    return {name: HOOKS.get(f"tbd.{kind}") for name, kind in NEEDED_HOOKS.items()}
