"""How long a config trains, and whether it measures what it evaluates."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, TestLoop, ValLoop

from tbd.arguments import check_value
from tbd.engine.config_check.values import refuse_unknown

_TRAINING = ("train_dataloader", "train_cfg", "optim_wrapper")
_PARTS = ("dataloader", "cfg", "evaluator")


def check_loop_arguments(settings: Mapping[str, Any], split: str) -> None:
    """Refuse what a loop does not take.

    Args:
        settings: The config's ``<split>_cfg``.
        split: ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        ValueError: An argument is unknown to the loop.
    """
    loop = _loop(settings, split)
    if isinstance(loop, type):
        refuse_unknown(
            settings,
            loop,
            f"{split}_cfg",
            given=("runner", "dataloader", "evaluator"),
            beside=("type", "by_epoch", "_scope_"),
        )


def check_training_loop(settings: Mapping[str, Any]) -> None:
    """Check how long a training is, and how often it is validated.

    Args:
        settings: The config's ``train_cfg``.

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: It trains nothing, or is never validated.
    """
    for unit in ("max_epochs", "max_iters"):
        length = settings.get(unit)
        if length is None:
            continue
        check_value(length, int, f"train_cfg.{unit}")
        if length < 1:
            raise ValueError(
                f"train_cfg.{unit}={length} trains nothing: the student would be exported with "
                "the weights that it starts from; set it to 1 or more."
            )
    check_value(settings.get("val_begin", 1), int, "train_cfg.val_begin")
    interval = settings.get("val_interval", 1)
    # A whole number that a config computes may be written as 57300.0.
    check_value(interval, float, "train_cfg.val_interval")
    if interval < 1:
        raise ValueError(
            f"train_cfg.val_interval={interval} must be 1 or more; val_cfg=None, with "
            "val_dataloader=None and val_evaluator=None, is a training without validation."
        )


def check_training_parts(cfg: Config) -> None:
    """Check that the three parts of a training are there, or none of them.

    Raises:
        ValueError: Some are None and others not.
    """
    missing = [key for key in _TRAINING if key in cfg and cfg[key] is None]
    there = [key for key in _TRAINING if cfg.get(key) is not None]
    if missing and there:
        raise ValueError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} None, and "
            f"{' and '.join(there)} not; a training needs all three."
        )


def check_evaluation_loop(cfg: Config, split: str) -> None:
    """Check that the three parts of an evaluation are there, or none of them.

    Args:
        cfg: The config of a run.
        split: ``"val"`` or ``"test"``.

    Raises:
        ValueError: Parts are missing, or the evaluator has no metric.
    """
    parts = {f"{split}_{part}": cfg.get(f"{split}_{part}") for part in _PARTS}
    missing = [key for key, value in parts.items() if value is None]
    if any(key in cfg for key in missing) and len(missing) < len(parts):
        raise ValueError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} None, and "
            f"{' and '.join(key for key in parts if key not in missing)} not; set all three "
            "or none of them."
        )
    if parts[f"{split}_dataloader"] and parts[f"{split}_evaluator"] in ([], ()):
        raise ValueError(
            f"{split}_evaluator=[] measures nothing; give it a metric, such as "
            f"dict(type='CocoMetric'), or set {split}_dataloader, {split}_cfg and "
            f"{split}_evaluator to None."
        )


def _loop(settings: Mapping[str, Any], split: str) -> Any:
    """The class of the loop that a Runner will build."""
    kind = settings.get("type")
    if kind is not None:
        return LOOPS.get(kind) if isinstance(kind, str) else kind
    if split == "train":
        return EpochBasedTrainLoop if settings.get("by_epoch") else IterBasedTrainLoop
    return ValLoop if split == "val" else TestLoop
