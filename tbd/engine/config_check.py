"""Mistakes in the config of a run that MMEngine passes over.

Names that nothing reads are no error to MMEngine: configs may hold variables of their own. What is
refused here is a name that nothing reads and that lies near one which is read, and values with
which a run would do nothing or something else than it says. Arguments of the parts of ``tbd`` check
themselves, see :mod:`tbd.arguments`; those of MMDetection's parts when they are built.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal

from mmengine.config import Config
from mmengine.optim import DefaultOptimWrapperConstructor
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
from mmengine.runner import LogProcessor, Priority, Runner, get_priority
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from tbd.arguments import advice, check_arguments, check_value
from tbd.detectors.config_keys import check_model_keys
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine.needed_hooks import NEEDED_HOOKS
from tbd.foreign_arguments import check_parts, check_scalars

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
            _check_dataset(loader["dataset"], f"{split}_dataloader.dataset", split)
            for name, kind in _LOADER_KINDS.items():
                check_value(loader.get(name), kind, f"{split}_dataloader.{name}")
    # As a Runner will look for them.
    scope = cfg.get("default_scope") or "mmdet"
    if find_spec(scope) is None:
        raise ValueError(
            f"default_scope={scope!r} is no package; {advice(scope, ['mmdet', 'mmengine', 'tbd'])}"
        )
    with DefaultScope.overwrite_default_scope(scope):
        for key, registries in _PARTS.items():
            check_parts(cfg.get(key), key, registries, names=key != "test_evaluator")
    settings = cfg.get("log_processor")
    if isinstance(settings, Mapping):
        check_scalars(LogProcessor, settings, "log_processor")
    _check_hooks(cfg)
    _check_optimizer(cfg.get("optim_wrapper") or {})
    _check_schedulers(cfg.get("param_scheduler"))
    for key, value in (cfg.get("auto_scale_lr") or {}).items():
        if key not in _AUTO_SCALE_LR:
            raise ValueError(
                f"auto_scale_lr.{key}={_short(value)} is read by nothing; "
                f"{advice(key, _AUTO_SCALE_LR)}"
            )
    for split in ("val", "test"):
        parts = {f"{split}_{part}": cfg.get(f"{split}_{part}") for part in _LOOP_PARTS}
        missing = [key for key, value in parts.items() if value is None]
        if any(key in cfg for key in missing) and len(missing) < len(parts):
            raise ValueError(
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} None, and "
                f"{' and '.join(key for key in parts if key not in missing)} not; set all three "
                "or none of them."
            )
        if cfg.get(f"{split}_dataloader") and cfg.get(f"{split}_evaluator") in ([], ()):
            raise ValueError(
                f"{split}_evaluator=[] measures nothing; give it a metric, such as "
                f"dict(type='CocoMetric'), or set {split}_dataloader, {split}_cfg and "
                f"{split}_evaluator to None."
            )
    for name, value in (cfg.get("env_cfg") or {}).items():
        _refuse_near(name, value, _ENVIRONMENT, "env_cfg.")
    _check_lengths(cfg.get("train_cfg") or {})
    for key, least in _LEAST.items():
        value = cfg._cfg_dict
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None and value < least:
            raise ValueError(f"{key}={value} must be {least} or more.")
    scaling = cfg.get("auto_scale_lr") or {}
    if scaling.get("enable") and "base_batch_size" not in scaling:
        raise ValueError(
            "auto_scale_lr.enable=True needs auto_scale_lr.base_batch_size, the total batch size "
            "that the learning rate was chosen for."
        )
    for key, number in _numbers(cfg.get("model") or {}, "model"):
        if math.isnan(number):
            raise ValueError(f"{key}={number} must be a number.")
    model = cfg.get("model") or {}
    if isinstance(model, Mapping) and model.get("type") not in WRAPPER_TYPES:
        check_model_keys(model, "model")


def _check_lengths(settings: Mapping[str, Any]) -> None:
    """Check how long a training is, and how often it is validated."""
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


def _check_dataset(dataset: Any, key: str, split: str) -> None:
    """Check the keys of a data set, or of those inside a wrapper, that tbd reads itself."""
    check_value(dataset, dict[str, Any], key)
    if split == "train" and dataset.get("test_mode"):
        raise ValueError(
            f"{key}.test_mode={dataset['test_mode']} lets images without boxes in, whatever "
            "filter_cfg says, and stops at none that cannot be read; set it to False for training."
        )
    if dataset.get("pipeline") == []:
        raise ValueError(f"{key}.pipeline=[] loads nothing; give it the steps that load an image.")
    for name, kind in _DATASET_KINDS.items():
        if dataset.get(name) is not None:
            check_value(dataset[name], kind, f"{key}.{name}")
    for name, value in (dataset.get("metainfo") or {}).items():
        if name.lower() in _METAINFO and name not in _METAINFO:
            raise ValueError(
                f"{key}.metainfo.{name}={_short(value)} is read by nothing; did you mean "
                f"{name.lower()}?"
            )
        _refuse_near(name, value, _METAINFO, f"{key}.metainfo.")
    for name, folder in (dataset.get("data_prefix") or {}).items():
        check_value(folder, str, f"{key}.data_prefix.{name}")
    for name, value in (dataset.get("filter_cfg") or {}).items():
        _refuse_near(name, value, _FILTERS, f"{key}.filter_cfg.")
        if name in _FILTERS:
            check_value(value, _FILTERS[name], f"{key}.filter_cfg.{name}")
    chosen = dataset.get("indices")
    if chosen is not None and ((isinstance(chosen, int) and chosen < 1) or chosen == []):
        raise ValueError(f"{key}.indices={chosen} leaves no image; set how many are to be used.")
    if dataset.get("datasets") == []:
        raise ValueError(f"{key}.datasets=[] joins nothing; give it one data set or more.")
    if "times" in dataset and isinstance(dataset.get("dataset"), Mapping):
        check_value(dataset["times"], int, f"{key}.times")
        if dataset["times"] < 1:
            raise ValueError(f"{key}.times={dataset['times']} must be 1 or more.")
    if isinstance(dataset.get("dataset"), Mapping):
        _check_dataset(dataset["dataset"], f"{key}.dataset", split)
    for index, inner in enumerate(dataset.get("datasets") or ()):
        _check_dataset(inner, f"{key}.datasets[{index}]", split)


_METAINFO = ("classes", "palette")
_ENVIRONMENT = ("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit")
_FILTERS: dict[str, Any] = {"filter_empty_gt": bool, "min_size": int, "bbox_min_size": int | None}

_LOADER_KINDS: dict[str, Any] = {
    "batch_size": int | None,
    "num_workers": int | None,
    "drop_last": bool | None,
    "persistent_workers": bool | None,
    "pin_memory": bool | None,
    "sampler": dict[str, Any] | None,
}

_DATASET_KINDS: dict[str, Any] = {
    "type": str | type,
    "ann_file": str,
    "data_root": str,
    "data_prefix": dict[str, Any],
    "metainfo": dict[str, Any],
    "filter_cfg": dict[str, Any],
    "indices": int | list[int],
    "serialize_data": bool,
    "test_mode": bool,
    "lazy_init": bool,
    "datasets": list[dict[str, Any]],
    "dataset": dict[str, Any],
}

_DATA = (DATASETS, TRANSFORMS, DATA_SAMPLERS)
_PARTS: dict[str, tuple[Any, ...]] = {
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
"""Where the parts under a key are registered."""

_KINDS: dict[str, Any] = {
    "model": dict[str, Any],
    "custom_imports": dict[str, Any],
    "custom_imports.imports": str | list[str],
    "data_root": str,
    "env_cfg": dict[str, Any],
    "env_cfg.mp_cfg": dict[str, Any],
    "launcher": Literal["none", "pytorch", "slurm", "mpi"],
    "log_level": Literal["NOTSET", "DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL"],
    "default_hooks.logger.interval": int,
    "optim_wrapper.accumulative_counts": int,
    "optim_wrapper.optimizer.weight_decay": float,
    "train_cfg.dynamic_intervals": list[tuple[int, int]],
    "env_cfg.cudnn_benchmark": bool,
    "env_cfg.dist_cfg": dict[str, Any],
    "env_cfg.dist_cfg.timeout": float,
    "env_cfg.mp_cfg.opencv_num_threads": int,
    "env_cfg.mp_cfg.mp_start_method": Literal["fork", "spawn", "forkserver"],
    "randomness": dict[str, Any],
    "randomness.seed": int,
    "randomness.deterministic": bool,
    "randomness.diff_rank_seed": bool,
    "default_scope": str,
    "runner_type": str,
    "visualizer": dict[str, Any],
    "visualizer.name": str,
    "val_evaluator": dict[str, Any] | list[dict[str, Any]],
    "test_evaluator": dict[str, Any] | list[dict[str, Any]],
    "val_cfg": dict[str, Any],
    "test_cfg": dict[str, Any],
    "optim_wrapper.optimizer": dict[str, Any],
    "optim_wrapper.paramwise_cfg": dict[str, Any],
    "optim_wrapper.paramwise_cfg.custom_keys": dict[str, Any],
    "optim_wrapper.paramwise_cfg.bypass_duplicate": bool,
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


_LOOP_PARTS = ("dataloader", "cfg", "evaluator")

_LEAST = {
    "randomness.seed": 0,
    "auto_scale_lr.base_batch_size": 1,
    "env_cfg.dist_cfg.timeout": 1,
    "log_processor.window_size": 1,
    "default_hooks.logger.interval": 1,
    "optim_wrapper.accumulative_counts": 1,
    "optim_wrapper.optimizer.weight_decay": 0,
    "train_dataloader.batch_size": 1,
    "train_dataloader.num_workers": 0,
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
        place = f"custom_hooks[{index}]"
        if "type" not in hook:
            raise ValueError(f"{place}={_short(dict(hook))} has no type; give it that of a hook.")
        _check_hook(hook, place)
        for name, kind in _DEFAULT_HOOKS.items():
            if hook["type"] == kind and default.get(name, kind) is not None:
                raise ValueError(
                    f"{place} and default_hooks.{name}, which is always there, are both of type "
                    f"{kind!r}: it would run twice; set it up as default_hooks.{name}."
                )


def _check_hook(hook: Mapping[str, Any], place: str) -> None:
    cls = HOOKS.get(hook["type"]) if isinstance(hook.get("type"), str) else hook.get("type")
    if isinstance(cls, type):
        names = [name for kind in cls.__mro__ for name in _parameters(kind)]
        for key, value in hook.items():
            if key not in ("type", "priority"):
                _refuse_near(key, value, names, f"{place}.")
        init: Any = cls.__init__  # type: ignore[misc]
        given = {key: hook[key] for key in hook if key not in ("type", "priority")}
        if given and cls.__module__.startswith("tbd.") and init is object.__init__:
            raise TypeError(f"{place}: {hook['type']} has no arguments, but {_short(given)}.")
        if hasattr(init, "checks_arguments"):
            check_arguments(init.__wrapped__, (None,), given, f"{place}: {hook['type']}")
    _check_priority(hook.get("priority"), f"{place}.priority")
    if hook.get("type") == "EMAHook":
        average = MODELS.get(hook.get("ema_type", "ExponentialMovingAverage"))
        if isinstance(average, type):
            check_scalars(average, hook, place)
    if hook.get("type") == "CheckpointHook":
        interval = hook.get("interval", 1)
        check_value(interval, int, f"{place}.interval")
        if interval < 1 and interval != -1:
            raise ValueError(
                f"{place}.interval={interval} writes no checkpoint at all; set the number of "
                "epochs (or iterations) between two, or -1 if none is wanted."
            )
        template = hook.get("filename_tmpl")
        if isinstance(template, str) and "/" in template:
            raise ValueError(
                f"{place}.filename_tmpl={template!r} must be the name of a file; name the folder "
                "by work_dir, where a resumed run looks for it."
            )
        if isinstance(template, str) and "{" not in template:
            raise ValueError(
                f"{place}.filename_tmpl={template!r} gives all checkpoints one name; write {{}} "
                "where their epoch or iteration is to stand."
            )
        kept = hook.get("max_keep_ckpts", -1)
        check_value(kept, int, f"{place}.max_keep_ckpts")
        if kept < 1 and kept != -1:
            raise ValueError(
                f"{place}.max_keep_ckpts={kept} would keep all checkpoints; set how many are to be "
                "kept, or -1 for all."
            )


def _check_priority(priority: Any, key: str) -> None:
    if priority is None:
        return
    try:
        get_priority(priority)
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{key}={priority!r} must be a number from 0 to 100 or one of {', '.join(_PRIORITIES)}."
        ) from None


_PRIORITIES = tuple(Priority.__members__)


def _check_optimizer(wrapper: Mapping[str, Any]) -> None:
    optimizer = wrapper.get("optimizer")
    if isinstance(optimizer, Mapping):
        _check_arguments_of_optimizer(optimizer)
    if isinstance(optimizer, Mapping) and "lr" in optimizer:
        _check_not_negative(optimizer["lr"], "optim_wrapper.optimizer.lr")
        if optimizer["lr"] == 0:
            raise ValueError(
                "optim_wrapper.optimizer.lr=0 trains nothing: the student would be exported with "
                "the weights that it starts from; set a positive rate."
            )
    momentum: Any = optimizer.get("momentum") if isinstance(optimizer, Mapping) else None
    if _is_number(momentum) and not 0 <= momentum < 1:
        raise ValueError(
            f"optim_wrapper.optimizer.momentum={momentum} must be 0 or more and below 1."
        )
    _check_clipping(wrapper.get("clip_grad"), "optim_wrapper.clip_grad")
    settings = wrapper.get("paramwise_cfg")
    for name, factors in ((settings or {}).get("custom_keys") or {}).items():
        key = f"optim_wrapper.paramwise_cfg.custom_keys[{name!r}]"
        check_value(factors, dict[str, Any], key)
        if not name:
            raise ValueError(f"{key} is part of every parameter's name; set the optimizer itself.")
        for factor, value in factors.items():
            _refuse_near(factor, value, _FACTORS, f"{key}.")
            if factor in _FACTORS:
                _check_not_negative(value, f"{key}.{factor}")
    for name in _PARAMWISE:
        factor = (settings or {}).get(name)
        if name.endswith("_mult") and factor is not None:
            _check_not_negative(factor, f"optim_wrapper.paramwise_cfg.{name}")
    if isinstance(settings, Mapping) and "constructor" not in wrapper:
        source = inspect.getsource(DefaultOptimWrapperConstructor)
        for key, value in settings.items():
            if f"'{key}'" not in source and f'"{key}"' not in source:
                _refuse_near(key, value, _PARAMWISE, "optim_wrapper.paramwise_cfg.")


def _check_arguments_of_optimizer(optimizer: Mapping[str, Any]) -> None:
    """Refuse what an optimizer does not take, such as what is inherited of another type."""
    kind = OPTIMIZERS.get(optimizer["type"]) if isinstance(optimizer.get("type"), str) else None
    if not isinstance(kind, type):
        return
    known = inspect.signature(kind).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for key, value in optimizer.items():
        if key not in (*known, "type", "_scope_"):
            raise ValueError(
                f"optim_wrapper.optimizer.{key}={value!r} is no argument of {optimizer['type']}; "
                f"{advice(key, list(known))} What is inherited goes with "
                "optim_wrapper.optimizer._delete_=True."
            )


def _check_schedulers(settings: Any) -> None:
    """Check what MMEngine computes with as it is: a negative factor makes a negative rate."""
    schedulers = settings if isinstance(settings, list | tuple) else [settings]
    for index, scheduler in enumerate(schedulers):
        place = f"param_scheduler[{index}]" if schedulers is settings else "param_scheduler"
        for name in _RATES if isinstance(scheduler, Mapping) else ():
            if scheduler.get(name) is not None:
                _check_not_negative(scheduler[name], f"{place}.{name}")
        for name in _PERIODS if isinstance(scheduler, Mapping) else ():
            period = scheduler.get(name)
            if period is not None:
                check_value(period, int, f"{place}.{name}")
                if period < 1:
                    raise ValueError(f"{place}.{name}={period} must be 1 or more.")
        milestones = scheduler.get("milestones") if isinstance(scheduler, Mapping) else None
        if milestones is not None and any(_is_number(p) and p < 1 for p in milestones):
            raise ValueError(f"{place}.milestones={list(milestones)} must be 1 or more, all.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_PERIODS = ("T_max", "step_size")
_RATES = ("gamma", "factor", "start_factor", "end_factor", "eta_min", "eta_min_ratio", "power")


def _check_not_negative(value: Any, key: str) -> None:
    check_value(value, float, key)
    if value < 0:
        raise ValueError(f"{key}={value} must not be negative.")


def _check_clipping(settings: Any, key: str) -> None:
    """Check what MMEngine passes on to PyTorch, which clips at a negative norm as well."""
    check_value(settings, dict[str, Any] | None, key)
    if settings is None:
        return
    kind = settings.get("type", "norm")
    check_value(kind, Literal["norm", "value"], f"{key}.type")
    limit, function = _CLIPPING[kind]
    known = [*inspect.signature(function).parameters, "type"]
    for name in settings:
        if name not in known:
            raise ValueError(
                f"{key}.{name}={_short(settings[name])} is read by nothing; {advice(name, known)}"
            )
    if limit not in settings:
        raise ValueError(f"{key}={_short(dict(settings))} needs {limit}, above which it clips.")
    check_value(settings[limit], float, f"{key}.{limit}")
    if settings[limit] <= 0:
        raise ValueError(
            f"{key}.{limit}={settings[limit]} must be positive: gradients would be turned round, "
            "or be nothing."
        )


_CLIPPING: dict[str, tuple[str, Callable[..., Any]]] = {
    "norm": ("max_norm", clip_grad_norm_),
    "value": ("clip_value", clip_grad_value_),
}
"""Name of the limit and the function of each kind of clipping."""


def check_custom_keys(wrapper: Mapping[str, Any], parameters: Sequence[str]) -> list[str]:
    """Refuse ``paramwise_cfg.custom_keys`` that are misspelt names of parameters.

    Args:
        wrapper: The config's ``optim_wrapper``.
        parameters: Names of the model's parameters.

    Returns:
        Keys that are part of no name and near to none, which set nothing.

    Raises:
        ValueError: A key is part of no name and near to a part of one.
    """
    keys = (wrapper.get("paramwise_cfg") or {}).get("custom_keys") or {}
    parts = sorted({part for name in parameters for part in name.split(".")})
    unused = [key for key in keys if not any(key in name for name in parameters)]
    for key in unused:
        for part in key.split("."):
            near = difflib.get_close_matches(part, parts, n=1, cutoff=_NEAR)
            if near and part not in parts:
                raise ValueError(
                    f"optim_wrapper.paramwise_cfg.custom_keys[{key!r}]={_short(keys[key])} is part "
                    f"of no parameter's name; did you mean {key.replace(part, near[0])!r}?"
                )
    return unused


_FACTORS = ("lr_mult", "decay_mult")
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
