"""Arguments that a config gives to parts of MMEngine, MMDetection and PyTorch.

Their constructors take any value: ``by_epoch="no"`` is true, and ``max_keep_ckpts=nan`` keeps all.
Their type hints were not written to be held to, so that only what no reading of them allows is
refused: a text, a number or a truth value where a hint knows none of these, nan, and infinity.
"""

import functools
import inspect
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Union, get_args, get_origin

from mmengine.registry import Registry
from torch import Tensor

from tbd.arguments import describe, nearest

_PACKAGES = ("mmengine", "mmdet", "mmcv", "torch")
# Hints of these alone say what a text, a number or a truth value may be.
_CLEAR = (bool, int, float, str, dict, types.NoneType, Tensor)
_LISTS = (list, tuple, Sequence)
_NEAR = 0.8


def check_parts(node: Any, key: str, registries: Sequence[Registry], *, names: bool = True) -> None:
    """Check a part of a config, and all parts inside it.

    Args:
        node: Any value of a config. Dicts with a ``type`` are parts.
        key: Its config key.
        registries: MMEngine's registries of such parts; types are looked for as they do, in the
            current scope.
        names: Whether a type that they do not have is looked at.

    Raises:
        TypeError: A value is of another kind than the hint of its argument.
        ValueError: A number is nan or infinite, or a type is misspelt.
    """
    if isinstance(node, Mapping):
        kind = node.get("type")
        if isinstance(kind, str) and "_scope_" not in node:
            kind = _find(kind, f"{key}.type", registries, names)
        if isinstance(kind, type):
            check_scalars(kind, node, key)
        for name, item in node.items():
            check_parts(item, f"{key}.{name}", registries, names=names)
    elif isinstance(node, list | tuple):
        for index, item in enumerate(node):
            check_parts(item, f"{key}[{index}]", registries, names=names)


def check_scalars(cls: type, arguments: Mapping[str, Any], key: str) -> None:
    """Check texts, numbers and truth values by the hints of a constructor.

    Args:
        cls: A class of MMEngine, MMDetection, MMCV or PyTorch; others are passed over.
        arguments: Arguments by name; those that it does not have are passed over.
        key: Their config key.

    Raises:
        TypeError: A value is of another kind than the hint of its argument.
        ValueError: A number is nan or infinite.
    """
    if cls.__module__.partition(".")[0] not in _PACKAGES:
        return
    hints = _hints(cls)
    for name, value in arguments.items():
        hint = hints.get(name)
        if hint is None or not isinstance(value, bool | int | float | str):
            continue
        kinds = list(_kinds(hint))
        if any(kind not in _CLEAR for kind in kinds):
            continue
        # MMDetection says int where it means a number.
        if int in kinds and cls.__module__.startswith("mmdet"):
            kinds.append(float)
        if not any(_fits(value, kind) for kind in kinds):
            infinite = isinstance(value, float) and not math.isfinite(value)
            raise (ValueError if infinite else TypeError)(
                f"{key}.{name}={value!r} must be {describe(hint)}."
            )


def _kinds(hint: Any) -> typing.Iterator[Any]:
    """Kinds that a hint allows; of a list those of its items, as one often stands for all."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType) or (origin in _LISTS and parts):
        for part in parts:
            if part is not Ellipsis:
                yield from _kinds(part)
    else:
        yield origin or hint


def _fits(value: bool | int | float | str, kind: Any) -> bool:
    if kind is bool:
        # 0 and 1 mean what they say.
        return isinstance(value, bool | int) and value in (0, 1)
    if kind in (int, float):
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and (kind is float or value % 1 == 0)
        )
    return isinstance(value, kind)


def _find(name: str, key: str, registries: Sequence[Registry], advise: bool) -> Any:
    """Find what a name stands for; what is not there is an error when it is built, if not here."""
    known: list[str] = []
    for registry in registries:
        with registry.switch_scope_and_registry(None) as current:
            found = current.get(name)
            if found is not None:
                return found
            known += [*current.module_dict, *registry.module_dict]
            ours = registry.children.get("tbd")
            known += [f"tbd.{own}" for own in ours.module_dict] if ours else []
    if not advise:
        return None
    near = nearest(name, known, _NEAR)
    own = f"tbd.{name}"
    meant = own if own in known else near
    if meant is not None:
        raise ValueError(f"{key}={name!r} is registered nowhere; did you mean {meant!r}?")
    return None


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Hints of the constructor by argument, those of a base where a constructor passes on."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        init = base.__dict__.get("__init__")
        if not inspect.isfunction(init):
            continue
        try:
            hints = typing.get_type_hints(init)
        except (NameError, TypeError):
            # Written for type checkers alone.
            hints = {}
        parameters = inspect.signature(init).parameters.values()
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, hints.get(parameter.name))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found
