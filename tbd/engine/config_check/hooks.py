"""The hooks of a config."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.registry import HOOKS, MODELS
from mmengine.runner import Priority, get_priority

from tbd.arguments import advice, check_arguments, check_value
from tbd.engine.config_check.values import refuse_near, shorten
from tbd.engine.needed_hooks import NEEDED_HOOKS
from tbd.foreign_arguments import check_scalars

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


def check_hooks(default: Mapping[str, Any], custom: list[Mapping[str, Any]]) -> None:
    """Check the names, types and arguments of hooks, and that none would run twice.

    Args:
        default: The config's ``default_hooks``.
        custom: Its ``custom_hooks``.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: A name is misspelt, or a hook has no effect or a harmful one.
    """
    for name, hook in default.items():
        place = f"default_hooks.{name}"
        if hook is None:
            if name not in _USUAL_HOOKS:
                raise ValueError(
                    f"{place}=None leaves out no hook, as there is none of this name; "
                    f"{advice(name, _USUAL_HOOKS)}"
                )
            continue
        check_value(hook, dict[str, Any], place)
        if "type" not in hook:
            raise ValueError(
                f"{place}={shorten(hook)} has no type and changes none of the hooks; "
                f"{advice(name, _USUAL_HOOKS)}"
            )
        _check_hook(hook, place)
        for other in _doubles(hook, default):
            if name != other:
                raise ValueError(
                    f"{place} and default_hooks.{other}, which is always there, are both of type "
                    f"{hook['type']!r}: it would run twice; call it default_hooks.{other}."
                )
    for index, hook in enumerate(custom):
        place = f"custom_hooks[{index}]"
        if "type" not in hook:
            raise ValueError(f"{place}={shorten(dict(hook))} has no type; give it that of a hook.")
        _check_hook(hook, place)
        for other in _doubles(hook, default):
            raise ValueError(
                f"{place} and default_hooks.{other}, which is always there, are both of type "
                f"{hook['type']!r}: it would run twice; set it up as default_hooks.{other}."
            )


def _doubles(hook: Mapping[str, Any], default: Mapping[str, Any]) -> Iterator[str]:
    """Names of the hooks that are always there, were not left out, and are of a hook's type."""
    for name, kind in _DEFAULT_HOOKS.items():
        if hook["type"] == kind and default.get(name, kind) is not None:
            yield name


def _check_hook(hook: Mapping[str, Any], place: str) -> None:
    kind = hook["type"]
    cls = HOOKS.get(kind) if isinstance(kind, str) else kind
    if isinstance(cls, type):
        _check_hook_arguments(cls, hook, place)
    _check_priority(hook.get("priority"), f"{place}.priority")
    if kind == "EMAHook":
        average = MODELS.get(hook.get("ema_type", "ExponentialMovingAverage"))
        if isinstance(average, type):
            check_scalars(average, hook, place)
    elif kind == "CheckpointHook":
        _check_checkpoints(hook, place)


def _check_hook_arguments(cls: type, hook: Mapping[str, Any], place: str) -> None:
    given = {key: hook[key] for key in hook if key not in ("type", "priority")}
    names = [name for kind in cls.__mro__ for name in _parameters(kind)]
    for key, value in given.items():
        refuse_near(key, value, names, f"{place}.")
    init: Any = cls.__init__  # type: ignore[misc]
    if given and cls.__module__.startswith("tbd.") and init is object.__init__:
        raise TypeError(f"{place}: {hook['type']} has no arguments, but {shorten(given)}.")
    if hasattr(init, "checks_arguments"):
        check_arguments(init.__wrapped__, (None,), given, f"{place}: {hook['type']}")


def _parameters(cls: type) -> list[str]:
    init = cls.__dict__.get("__init__")
    return list(inspect.signature(init).parameters) if init else []


def _check_priority(priority: Any, key: str) -> None:
    if priority is None:
        return
    try:
        get_priority(priority)
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{key}={priority!r} must be a number from 0 to 100 or one of "
            f"{', '.join(Priority.__members__)}."
        ) from None


def _check_checkpoints(hook: Mapping[str, Any], place: str) -> None:
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
