"""Whether the teacher that a comparison trains is the one that its distillations load."""

from collections.abc import Sequence

from mmdet.models.detectors.base import BaseDetector
from mmengine.config import ConfigDict

from tbd.detectors import build_detector, resolve_model_config
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.detectors.weights import describe_differences, without_pretrained
from tbd.engine.config import load_config, student_model
from tbd.engine.config_options import parse_options


def check_teacher(teacher: str, configs: Sequence[str], options: Sequence[str]) -> None:
    """Refuse a teacher whose weights a distillation could not load, before it is trained.

    Args:
        teacher: Config that the teacher is trained by.
        configs: Configs that are compared; those that distill from a detector are looked at.
        options: ``key=value`` options of all runs.

    Raises:
        ValueError: A distillation's teacher has other weights than the one that is trained.
    """
    merged = parse_options(list(options))
    trained = student_model(load_config(teacher, merged, needs_model=True))
    for config in configs:
        model = load_config(config, merged, needs_model=True).model
        if model.type not in WRAPPER_TYPES or model.teacher is None:
            continue
        wanted = resolve_model_config(
            model.teacher, model.get("teacher_options"), key="model.teacher"
        )
        if wanted == trained:
            continue
        found = describe_differences(_build(wanted), _build(trained).state_dict())
        if found:
            raise ValueError(
                f"--teacher {teacher} trains another detector than {config} learns from, which "
                f"would not load its weights:{found}\nName the config of its model.teacher"
                f"{f', {model.teacher}' if isinstance(model.teacher, str) else ''}."
            )


def _build(model: ConfigDict) -> BaseDetector:
    return build_detector(without_pretrained(model))
