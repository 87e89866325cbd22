"""Learning rates and decays that a config sets for single parameters."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor

from tbd.arguments import check_value
from tbd.engine.config_check.values import NEAR, check_rate, refuse_near, shorten

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


def check_paramwise(wrapper: Mapping[str, Any]) -> None:
    """Check factors of the learning rate and of the decay.

    Args:
        wrapper: The config's ``optim_wrapper``.

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: A name is misspelt, or a factor is negative.
    """
    place = "optim_wrapper.paramwise_cfg"
    settings = wrapper.get("paramwise_cfg") or {}
    for name, factors in (settings.get("custom_keys") or {}).items():
        key = f"{place}.custom_keys[{name!r}]"
        check_value(factors, dict[str, Any], key)
        if not name:
            raise ValueError(f"{key} is part of every parameter's name; set the optimizer itself.")
        for factor, value in factors.items():
            refuse_near(factor, value, _FACTORS, f"{key}.")
            if factor in _FACTORS:
                check_rate(value, f"{key}.{factor}")
    for name in _PARAMWISE:
        if name.endswith("_mult") and settings.get(name) is not None:
            check_rate(settings[name], f"{place}.{name}")
    if "constructor" not in wrapper:
        source = inspect.getsource(DefaultOptimWrapperConstructor)
        for key, value in settings.items():
            if f"'{key}'" not in source and f'"{key}"' not in source:
                refuse_near(key, value, _PARAMWISE, f"{place}.")


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
            near = difflib.get_close_matches(part, parts, n=1, cutoff=NEAR)
            if near and part not in parts:
                raise ValueError(
                    f"optim_wrapper.paramwise_cfg.custom_keys[{key!r}]={shorten(keys[key])} is "
                    "part of no parameter's name; did you mean "
                    f"{key.replace(part, near[0])!r}?"
                )
    return unused
