"""Mistakes in the config of a run that MMEngine passes over.

Names that nothing reads are no error to MMEngine: configs may hold variables of their own. What is
refused here is a name that nothing reads and that lies near one which is read, and values with
which a run would do nothing or something else than it says. Arguments of the parts of ``tbd`` check
themselves, see :mod:`tbd.arguments`; those of MMDetection's parts when they are built.
"""

import difflib
import inspect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.runner import Runner

from tbd.arguments import advice, check_value
from tbd.detectors.config_keys import check_model_keys
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine.needed_hooks import NEEDED_HOOKS

# Hooks that every Runner has, under these names, whatever else a config registers.
_DEFAULT_HOOKS = {
    "runtime_info": "RuntimeInfoHook",
    "timer": "IterTimerHook",
    "sampler_seed": "DistSamplerSeedHook",
    "logger": "LoggerHook",
    "param_scheduler": "ParamSchedulerHook",
    "checkpoint": "CheckpointHook",
}
_USUAL_HOOKS = (*_DEFAULT_HOOKS, *NEEDED_HOOKS, "visualization")
_AUTO_SCALE_LR = ("enable", "base_batch_size")
# How alike a misspelt name and the right one are, in difflib's measure.
_NEAR = 0.85


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
        _refuse_near(key, cfg[key], read, "")
    for key, kind in _KINDS.items():
        value: Any = cfg._cfg_dict
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            check_value(value, kind, key)
    for split in ("train", "val", "test"):
        loader = cfg.get(f"{split}_dataloader")
        if loader is not None and "dataset" not in loader:
            keys = ", ".join(map(str, loader)) or "nothing"
            near = difflib.get_close_matches("dataset", [*map(str, loader)], n=1)
            meant = f"; did you mean dataset by {near[0]}?" if near else "; give it one."
            raise ValueError(f"{split}_dataloader has no dataset, but {keys}{meant}")
        if loader is not None:
            _check_dataset(loader["dataset"], f"{split}_dataloader.dataset")
    _check_hooks(cfg)
    _check_optimizer(cfg.get("optim_wrapper") or {})
    for key, value in (cfg.get("auto_scale_lr") or {}).items():
        if key not in _AUTO_SCALE_LR:
            raise ValueError(
                f"auto_scale_lr.{key}={_short(value)} is read by nothing; "
                f"{advice(key, _AUTO_SCALE_LR)}"
            )
    for unit in ("max_epochs", "max_iters"):
        length = (cfg.get("train_cfg") or {}).get(unit)
        if length is not None:
            check_value(length, int, f"train_cfg.{unit}")
            if length < 1:
                raise ValueError(
                    f"train_cfg.{unit}={length} trains nothing: the student would be exported with "
                    "the weights that it starts from; set it to 1 or more."
                )
    for key, number in _numbers(cfg.get("model") or {}, "model"):
        if math.isnan(number):
            raise ValueError(f"{key}={number} must be a number.")
    model = cfg.get("model") or {}
    if isinstance(model, Mapping) and model.get("type") not in WRAPPER_TYPES:
        check_model_keys(model, "model")


def _check_dataset(dataset: Any, key: str) -> None:
    """Check the keys of a data set, or of those inside a wrapper, that tbd reads itself."""
    check_value(dataset, dict[str, Any], key)
    for name, kind in _DATASET_KINDS.items():
        if dataset.get(name) is not None:
            check_value(dataset[name], kind, f"{key}.{name}")
    for name, folder in (dataset.get("data_prefix") or {}).items():
        check_value(folder, str, f"{key}.data_prefix.{name}")
    if isinstance(dataset.get("dataset"), Mapping):
        _check_dataset(dataset["dataset"], f"{key}.dataset")
    for index, inner in enumerate(dataset.get("datasets") or ()):
        _check_dataset(inner, f"{key}.datasets[{index}]")


_DATASET_KINDS: dict[str, Any] = {
    "type": str | type,
    "ann_file": str,
    "data_root": str,
    "data_prefix": dict[str, Any],
    "metainfo": dict[str, Any],
    "datasets": list[dict[str, Any]],
    "dataset": dict[str, Any],
}

_KINDS: dict[str, Any] = {
    "model": dict[str, Any],
    "custom_imports": dict[str, Any],
    "custom_imports.imports": str | list[str],
    "data_root": str,
    "env_cfg": dict[str, Any],
    "env_cfg.mp_cfg": dict[str, Any],
    "env_cfg.mp_cfg.mp_start_method": Literal["fork", "spawn", "forkserver"],
    "randomness": dict[str, Any],
    "randomness.seed": int,
    "visualizer": dict[str, Any],
    "val_evaluator": dict[str, Any] | list[dict[str, Any]],
    "test_evaluator": dict[str, Any] | list[dict[str, Any]],
    "val_cfg": dict[str, Any],
    "test_cfg": dict[str, Any],
    "optim_wrapper.optimizer": dict[str, Any],
    "optim_wrapper.paramwise_cfg": dict[str, Any],
    "optim_wrapper.paramwise_cfg.custom_keys": dict[str, Any],
    "auto_scale_lr.enable": bool,
    "auto_scale_lr.base_batch_size": int,
    "load_from": str,
    "train_dataloader": dict[str, Any],
    "val_dataloader": dict[str, Any],
    "test_dataloader": dict[str, Any],
    "train_cfg": dict[str, Any],
    "optim_wrapper": dict[str, Any],
    "default_hooks": dict[str, Any],
    "custom_hooks": list[dict[str, Any]],
    "resume": bool,
    "work_dir": str,
    "auto_scale_lr": dict[str, Any],
}


def _refuse_near(key: str, value: Any, read: Iterable[str], place: str) -> None:
    """Refuse a name that nothing reads and that one of the names that are read was meant by."""
    names = [name for name in read if name != "self"]
    if key in names:
        return
    near = difflib.get_close_matches(key, names, n=1, cutoff=_NEAR)
    # A variable of one's own may be named after what it stands in for, as val_evaluator_full.
    if near and not key.startswith(f"{near[0]}_"):
        raise ValueError(
            f"{place}{key}={_short(value)} is read by nothing; did you mean {place}{near[0]}? "
            "A variable of your own needs a name less alike."
        )


def _check_hooks(cfg: Config) -> None:
    default, custom = cfg.get("default_hooks") or {}, cfg.get("custom_hooks") or []
    for name, hook in default.items():
        place = f"default_hooks.{name}"
        if hook is None and name not in _USUAL_HOOKS:
            raise ValueError(
                f"{place}=None leaves out no hook, as there is none of this name; "
                f"{advice(name, _USUAL_HOOKS)}"
            )
        if hook is None:
            continue
        check_value(hook, dict[str, Any], place)
        if "type" not in hook:
            raise ValueError(
                f"{place}={_short(hook)} has no type and changes none of the hooks; "
                f"{advice(name, _USUAL_HOOKS)}"
            )
        _check_hook(hook, place)
        for other, kind in _DEFAULT_HOOKS.items():
            if hook["type"] == kind and name != other and default.get(other, kind) is not None:
                raise ValueError(
                    f"{place} and default_hooks.{other}, which is always there, are both of type "
                    f"{kind!r}: it would run twice; call it default_hooks.{other}."
                )
    for index, hook in enumerate(custom):
        _check_hook(hook, f"custom_hooks[{index}]")


def _check_hook(hook: Mapping[str, Any], place: str) -> None:
    cls = HOOKS.get(hook["type"]) if isinstance(hook.get("type"), str) else hook.get("type")
    if isinstance(cls, type):
        names = [name for kind in cls.__mro__ for name in _parameters(kind)]
        for key, value in hook.items():
            if key not in ("type", "priority"):
                _refuse_near(key, value, names, f"{place}.")
    if hook.get("type") == "CheckpointHook":
        interval = hook.get("interval", 1)
        check_value(interval, int, f"{place}.interval")
        if interval < 1 and interval != -1:
            raise ValueError(
                f"{place}.interval={interval} writes no checkpoint at all; set the number of "
                "epochs (or iterations) between two, or -1 if none is wanted."
            )


def _check_optimizer(wrapper: Mapping[str, Any]) -> None:
    optimizer = wrapper.get("optimizer")
    if isinstance(optimizer, Mapping) and "lr" in optimizer:
        key = "optim_wrapper.optimizer.lr"
        check_value(optimizer["lr"], float, key)
        if optimizer["lr"] < 0:
            raise ValueError(f"{key}={optimizer['lr']} must not be negative.")
    settings = wrapper.get("paramwise_cfg")
    if isinstance(settings, Mapping) and "constructor" not in wrapper:
        source = inspect.getsource(DefaultOptimWrapperConstructor)
        for key, value in settings.items():
            if f"'{key}'" not in source and f'"{key}"' not in source:
                _refuse_near(key, value, _PARAMWISE, "optim_wrapper.paramwise_cfg.")


def check_custom_keys(wrapper: Mapping[str, Any], parameters: Sequence[str]) -> None:
    """Refuse ``paramwise_cfg.custom_keys`` that are misspelt names of parameters.

    Args:
        wrapper: The config's ``optim_wrapper``.
        parameters: Names of the model's parameters.

    Raises:
        ValueError: A key is part of no name and near to a part of one.
    """
    keys = (wrapper.get("paramwise_cfg") or {}).get("custom_keys") or {}
    parts = sorted({part for name in parameters for part in name.split(".")})
    for key in keys:
        if any(key in name for name in parameters):
            continue
        for part in key.split("."):
            near = difflib.get_close_matches(part, parts, n=1, cutoff=_NEAR)
            if near and part not in parts:
                raise ValueError(
                    f"optim_wrapper.paramwise_cfg.custom_keys[{key!r}]={_short(keys[key])} is part "
                    f"of no parameter's name; did you mean {key.replace(part, near[0])!r}?"
                )


_PARAMWISE = (
    "custom_keys",
    "bias_lr_mult",
    "bias_decay_mult",
    "norm_decay_mult",
    "flat_decay_mult",
    "dwconv_decay_mult",
    "dcn_offset_lr_mult",
    "bypass_duplicate",
)


def _parameters(cls: type) -> list[str]:
    init = cls.__dict__.get("__init__")
    return list(inspect.signature(init).parameters) if init else []


def _numbers(node: Any, key: str) -> Iterator[tuple[str, float]]:
    if isinstance(node, Mapping):
        for name, item in node.items():
            yield from _numbers(item, f"{key}.{name}")
    elif isinstance(node, list | tuple):
        for index, item in enumerate(node):
            yield from _numbers(item, f"{key}[{index}]")
    elif isinstance(node, float):
        yield key, node


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
