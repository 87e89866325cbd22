"""Whether a checkpoint is one of the run that is resumed from it."""

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from tbd.detectors import TeacherStudentDetector
from tbd.detectors.weights import describe_differences
from tbd.engine.wrappers import unwrap
from tbd.registry import HOOKS

_KEY = "distillation"


@HOOKS.register_module()
class ResumeCheckHook(Hook):
    """Refuse to resume from a checkpoint of another model or of other distillation terms.

    MMEngine loads what fits and goes on with random weights where nothing does. Each checkpoint
    records the terms, as those without parameters leave no trace in its weights.
    """

    # Before EMAHook, which exchanges weights, and with the model as it was built.
    priority = "VERY_HIGH"

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Record the terms."""
        model = unwrap(runner.model)
        if isinstance(model, TeacherStudentDetector):
            checkpoint["meta"][_KEY] = {n: term.describe() for n, term in model.terms.items()}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare the checkpoint with the model, if it is resumed from.

        Raises:
            ValueError: They differ.
        """
        if not runner._resume:
            return
        model = unwrap(runner.model)
        differences = describe_differences(model, checkpoint.get("state_dict", {}))
        recorded = (checkpoint.get("meta") or {}).get(_KEY)
        if isinstance(model, TeacherStudentDetector) and isinstance(recorded, Mapping):
            differences = _terms(recorded, model) + differences
            changed = [
                f"model.distill.{name} was {recorded[name]}, is {term.describe()}"
                for name, term in model.terms.items()
                if name in recorded and recorded[name] != term.describe()
            ]
            if changed and not differences:
                runner.logger.warning("resumed with other settings: %s", "; ".join(changed))
        if differences:
            source = runner._load_from or runner.work_dir
            raise ValueError(
                f"cannot resume from {source}: it is a checkpoint of another run.{differences}\n"
                "Resume with the config that wrote it; or, to start a new training from its "
                "weights, give load_from without resume; or choose another work_dir."
            )


def _terms(recorded: Mapping[str, Any], model: TeacherStudentDetector) -> str:
    lines = [
        f"\n    model.distill.{name}: a term that {where}"
        for names, where in (
            (model.terms.keys() - recorded.keys(), "the checkpoint does not have"),
            (recorded.keys() - model.terms.keys(), "the checkpoint has and the config does not"),
        )
        for name in sorted(names)
    ]
    return "".join(lines)
