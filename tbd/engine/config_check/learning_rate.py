"""How the learning rate of a config changes: with the epochs, and with the batch size."""

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.registry import PARAM_SCHEDULERS

from tbd.arguments import advice, check_value
from tbd.engine.config_check.values import (
    check_count,
    check_rate,
    is_number,
    refuse_unknown,
    shorten,
)

_PERIODS = ("T_max", "step_size")
_RATES = ("gamma", "factor", "start_factor", "end_factor", "eta_min", "eta_min_ratio", "power")
_GIVEN = ("optimizer", "param_name")
_BESIDE = ("type", "_scope_", "convert_to_iter_based")
_SCALING = ("enable", "base_batch_size")


def check_schedulers(settings: Any) -> None:
    """Check what MMEngine computes with as it is: a negative factor makes a negative rate.

    Args:
        settings: The config's ``param_scheduler``: one, a list of them, or None.

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: An argument is unknown, a factor is negative, a rate starts from nothing, or a
            period or milestone is before the first epoch.
    """
    if isinstance(settings, list | tuple):
        for index, scheduler in enumerate(settings):
            _check_scheduler(scheduler, f"param_scheduler[{index}]")
    else:
        _check_scheduler(settings, "param_scheduler")


def check_scaling(settings: Mapping[str, Any]) -> None:
    """Check how the learning rate follows the batch size.

    Args:
        settings: The config's ``auto_scale_lr``.

    Raises:
        ValueError: A name is unknown, or the batch size is missing that the rate was chosen for.
    """
    for key, value in settings.items():
        if key not in _SCALING:
            raise ValueError(
                f"auto_scale_lr.{key}={shorten(value)} is read by nothing; {advice(key, _SCALING)}"
            )
    if settings.get("enable") and "base_batch_size" not in settings:
        raise ValueError(
            "auto_scale_lr.enable=True needs auto_scale_lr.base_batch_size, the total batch size "
            "that the learning rate was chosen for."
        )


def _check_scheduler(scheduler: Any, place: str) -> None:
    if isinstance(scheduler, str | bool | int | float):
        raise TypeError(
            f"{place}={shorten(scheduler)} must be a dict. On the command line, "
            "param_scheduler.0.end=500 changes one setting."
        )
    if not isinstance(scheduler, Mapping):
        return
    kind = scheduler.get("type")
    kind = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
    if isinstance(kind, type):
        refuse_unknown(scheduler, _taking(kind), place, given=_GIVEN, beside=_BESIDE)
    for name in _RATES:
        if scheduler.get(name) is not None:
            check_rate(scheduler[name], f"{place}.{name}")
    for name in _PERIODS:
        if scheduler.get(name) is not None:
            check_count(scheduler[name], f"{place}.{name}")
    if scheduler.get("start_factor") == 0:
        raise ValueError(
            f"{place}.start_factor=0 starts from a rate of 0, by which MMEngine divides; take a "
            "small number, such as 0.001."
        )
    milestones = scheduler.get("milestones")
    if milestones is not None:
        check_value(milestones, list, f"{place}.milestones")
        if any(is_number(p) and p < 1 for p in milestones):
            raise ValueError(f"{place}.milestones={list(milestones)} must be 1 or more, all.")


def _taking(kind: type) -> type:
    """The class of a scheduler, or of its bases, that takes its arguments; others pass them on."""
    for base in kind.__mro__:
        init = base.__dict__.get("__init__")
        if init is None:
            continue
        parameters = inspect.signature(init).parameters.values()
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            return base
    return kind
