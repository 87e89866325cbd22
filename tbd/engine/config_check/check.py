"""The check of a whole config."""

import inspect
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISBACKENDS,
    VISUALIZERS,
    DefaultScope,
)
from mmengine.runner import LogProcessor, Runner

from tbd.arguments import advice
from tbd.detectors.config_keys import check_model_keys
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine.config_check.data import check_loader
from tbd.engine.config_check.hooks import check_hooks
from tbd.engine.config_check.learning_rate import check_scaling, check_schedulers
from tbd.engine.config_check.loops import (
    check_evaluation_loop,
    check_loop_arguments,
    check_training_loop,
    check_training_parts,
)
from tbd.engine.config_check.optimizer import check_optimizer
from tbd.engine.config_check.parameters import check_paramwise
from tbd.engine.config_check.settings import check_kinds, check_least, check_numbers
from tbd.engine.config_check.values import refuse_near, refuse_unknown
from tbd.foreign_arguments import check_parts, check_scalars

_ENVIRONMENT = ("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit")
_DATA = (DATASETS, TRANSFORMS, DATA_SAMPLERS)
# Where the parts under a key are registered.
_REGISTRIES: dict[str, tuple[Any, ...]] = {
    "train_dataloader": _DATA,
    "val_dataloader": _DATA,
    "test_dataloader": _DATA,
    "train_cfg": (LOOPS,),
    "val_cfg": (LOOPS,),
    "test_cfg": (LOOPS,),
    "val_evaluator": (METRICS,),
    "test_evaluator": (METRICS,),
    "visualizer": (VISUALIZERS, VISBACKENDS),
    "optim_wrapper": (OPTIM_WRAPPERS, OPTIMIZERS),
    "param_scheduler": (PARAM_SCHEDULERS,),
    "default_hooks": (HOOKS,),
    "custom_hooks": (HOOKS,),
}


def check_config(cfg: Config) -> None:
    """Look for names and values that a run would pass over.

    Args:
        cfg: The config of a run, with every option merged.

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: A name is misspelt, or a value has no effect or a harmful one.
    """
    read = [*inspect.signature(Runner).parameters, "runner_type", "custom_imports", "tta_model"]
    for key in cfg:
        refuse_near(key, cfg[key], read, "")
    for name, value in (cfg.get("env_cfg") or {}).items():
        refuse_near(name, value, _ENVIRONMENT, "env_cfg.")
    check_kinds(cfg)
    refuse_unknown(
        cfg.get("randomness") or {}, Runner.set_randomness, "randomness", given=("self",)
    )
    for split in ("train", "val", "test"):
        loader = cfg.get(f"{split}_dataloader")
        if loader is not None:
            check_loader(loader, split)
    _check_parts(cfg)
    check_hooks(cfg.get("default_hooks") or {}, cfg.get("custom_hooks") or [])
    wrapper = cfg.get("optim_wrapper") or {}
    check_optimizer(wrapper)
    check_paramwise(wrapper)
    check_schedulers(cfg.get("param_scheduler"))
    check_scaling(cfg.get("auto_scale_lr") or {})
    for split in ("train", "val", "test"):
        check_loop_arguments(cfg.get(f"{split}_cfg") or {}, split)
    check_training_loop(cfg.get("train_cfg") or {})
    check_training_parts(cfg)
    for split in ("val", "test"):
        check_evaluation_loop(cfg, split)
    check_least(cfg)
    model = cfg.get("model") or {}
    check_numbers(model, "model")
    if isinstance(model, Mapping) and model.get("type") not in WRAPPER_TYPES:
        check_model_keys(model, "model")


def _check_parts(cfg: Config) -> None:
    """Check types and arguments of the parts, looked for in the scope in which a Runner will."""
    scope = cfg.get("default_scope") or "mmdet"
    if find_spec(scope) is None:
        raise ValueError(
            f"default_scope={scope!r} is no package; {advice(scope, ['mmdet', 'mmengine', 'tbd'])}"
        )
    with DefaultScope.overwrite_default_scope(scope):
        for key, registries in _REGISTRIES.items():
            check_parts(cfg.get(key), key, registries, names=key != "test_evaluator")
        check_parts(_types(cfg.get("model")), "model", (MODELS,))
    settings = cfg.get("log_processor")
    if isinstance(settings, Mapping):
        refuse_unknown(settings, LogProcessor, "log_processor")
        check_scalars(LogProcessor, settings, "log_processor")


def _types(model: Any) -> dict[str, Any]:
    """The types of a model and of its parts, whose arguments are looked at elsewhere."""
    if not isinstance(model, Mapping):
        return {}
    found = {key: {"type": part["type"]} for key, part in model.items() if _is_part(key, part)}
    return {"type": model.get("type"), **found}


def _is_part(key: str, value: Any) -> bool:
    return isinstance(value, Mapping) and "type" in value and key not in ("train_cfg", "test_cfg")
