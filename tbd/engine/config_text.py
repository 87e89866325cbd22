"""A config as the text of a Python file that reads back as the same config."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config


def config_text(cfg: Config) -> str:
    """Format a config, also one with numbers that Python has no literal for.

    MMEngine writes these as ``inf`` and ``nan``, which no interpreter reads.

    Raises:
        ValueError: A value is of a kind that no config file can hold. The message names its key.
    """
    content = cfg.to_dict()
    try:
        text = Config(_writable(content), filename=cfg.filename).pretty_text
        read = Config.fromstring(text, ".py").to_dict()
    except Exception as error:
        strange = [f"{key}={value!r}" for key, value in _leaves(content) if not _is_plain(value)]
        raise ValueError(
            f"The config cannot be written as a file, because of {', '.join(strange) or error}; "
            "give numbers, texts, lists, dicts and names of types."
        ) from error
    differing = _difference(content, read, "")
    if differing:
        raise ValueError(f"{differing} does not survive being written to a config file.")
    return text


class _Spelt(float):
    """A number that prints as an expression."""

    def __str__(self) -> str:
        return f"float('{float(self)}')"

    __repr__ = __str__


def _writable(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _writable(item) for key, item in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_writable(item) for item in node)
    if isinstance(node, float) and not math.isfinite(node):
        return _Spelt(node)
    return node


def _difference(one: Any, other: Any, key: str) -> str | None:
    """The first key under which two contents differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        pairs = [(f"{key}.{name}".lstrip("."), one[name], other[name]) for name in one]
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return key
        pairs = [(f"{key}[{i}]", *items) for i, items in enumerate(zip(one, other, strict=True))]
    else:
        both_nan = one != one and other != other
        return None if both_nan or (type(one) is type(other) and one == other) else key
    return next((found for place, a, b in pairs if (found := _difference(a, b, place))), None)


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, item in node.items():
            yield from _leaves(item, f"{key}.{name}".lstrip("."))
    elif isinstance(node, list | tuple):
        for index, item in enumerate(node):
            yield from _leaves(item, f"{key}[{index}]")
    else:
        yield key, node


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | int | float)
