"""How the learning rate of a config changes: with the epochs, and with the batch size."""

from collections.abc import Mapping
from typing import Any

from tbd.arguments import advice
from tbd.engine.config_check.values import check_count, check_rate, is_number, shorten

_PERIODS = ("T_max", "step_size")
_RATES = ("gamma", "factor", "start_factor", "end_factor", "eta_min", "eta_min_ratio", "power")
_SCALING = ("enable", "base_batch_size")


def check_schedulers(settings: Any) -> None:
    """Check what MMEngine computes with as it is: a negative factor makes a negative rate.

    Args:
        settings: The config's ``param_scheduler``: one, a list of them, or None.

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: A factor is negative, or a period or milestone before the first epoch.
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
    if not isinstance(scheduler, Mapping):
        return
    for name in _RATES:
        if scheduler.get(name) is not None:
            check_rate(scheduler[name], f"{place}.{name}")
    for name in _PERIODS:
        if scheduler.get(name) is not None:
            check_count(scheduler[name], f"{place}.{name}")
    milestones = scheduler.get("milestones")
    if milestones is not None and any(is_number(p) and p < 1 for p in milestones):
        raise ValueError(f"{place}.milestones={list(milestones)} must be 1 or more, all.")
