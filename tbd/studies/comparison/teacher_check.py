"""Whether the teacher that a comparison trains is the one that its distillations load."""

from collections.abc import Sequence

from mmdet.models.detectors.base import BaseDetector
from mmengine.config import ConfigDict

from tbd.detectors import build_detector, resolve_model_config
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.detectors.weights import describe_differences, without_pretrained
from tbd.engine.config import load_config, student_model
from tbd.engine.config_options import parse_options


def check_teacher(
    teacher: str | None, seed: int, configs: Sequence[str], options: Sequence[str]
) -> None:
    """Refuse a teacher that is not trained, or whose weights no distillation could load.

    Args:
        teacher: Config that the teacher is trained by; None where its checkpoint is taken.
        seed: The seed of that training.
        configs: Configs of the other runs; those that distill from a detector are looked at.
        options: ``key=value`` options of all runs.

    Raises:
        ValueError: A seed is given for a teacher that is not trained, or a distillation's teacher
            has other weights than the one that is.
    """
    if teacher is None:
        if seed:
            raise ValueError(
                f"--teacher-seed {seed}: no teacher is trained here, the checkpoint that "
                "model.teacher_ckpt names is taken; give --teacher CONFIG to train one, or leave "
                "the seed out."
            )
        return
    merged = parse_options(options)
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
