"""Checks of arguments by the type hints of what they are given to, as strictly as a config needs.

Python takes any value for any argument: ``"no"`` is true, ``True`` is 1, and ``nan`` passes many a
comparison. What a config can get wrong is therefore checked here, once for all parts of ``tbd``,
before a constructor runs. The hints of the constructors are the only schema.
"""

import difflib
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

Class = TypeVar("Class", bound=type)

_COLLECTIONS = (Sequence, Iterable, typing.Collection.__origin__)  # type: ignore[attr-defined]

_WORDS = {
    None: "None",
    types.NoneType: "None",
    bool: "True or False",
    int: "an integer",
    float: "a finite number",
    str: "a text",
    Any: "anything",
}

_SHOWN = 80


def checked(cls: Class) -> Class:
    """Let the constructor of a class check its arguments by its type hints, and return the class.

    A constructor that the class has from another package is left alone: its hints were not
    written to be enforced.

    Raises:
        TypeError: when it is constructed, if an argument is unknown, missing or of another kind
            than its hint says.
        ValueError: likewise, if a number is nan or infinite.
    """
    init = cls.__init__  # type: ignore[misc]
    if _package(init) != _package(cls) or hasattr(init, "checks_arguments"):
        return cls
    check = functools.partial(check_arguments, init, name=f"{_package(cls)}.{cls.__name__}")

    @functools.wraps(init)
    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        # A subclass whose constructor calls this one has arguments of its own.
        if type(self) is cls:
            check((self, *args), kwargs)
        init(self, *args, **kwargs)

    initialise.checks_arguments = True  # type: ignore[attr-defined]
    cls.__init__ = initialise  # type: ignore[misc]
    return cls


def check_arguments(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], name: str
) -> None:
    """Check arguments by the signature and the type hints of a function.

    Args:
        function: What is to be called with them.
        args: Positional arguments.
        kwargs: Arguments by keyword.
        name: Name of the function in messages.

    Raises:
        TypeError: An argument is unknown, missing or of another kind than its hint says.
        ValueError: A number is nan or infinite.
    """
    signature = inspect.signature(function)
    known = [key for key in signature.parameters if key != "self"]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for key in () if takes_any else kwargs:
        if key not in known:
            raise TypeError(
                f"{name} has no argument {key}={_shown(kwargs[key])}; {advice(key, known)}"
            )
    try:
        given = signature.bind_partial(*args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f"{name}: {error}; its arguments are {', '.join(known)}.") from None
    hints = _hints(function)
    for key, value in given.items():
        if key in hints and signature.parameters[key].kind is not inspect.Parameter.VAR_KEYWORD:
            check_value(value, hints[key], f"{name}: {key}")
    missing = [
        key
        for key, parameter in signature.parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and key not in given
    ]
    if missing:
        raise TypeError(f"{name} needs {', '.join(missing)}; its arguments are {', '.join(known)}.")


def check_value(value: Any, hint: Any, key: str) -> None:
    """Check one value by a type hint.

    Raises:
        TypeError: It is of another kind.
        ValueError: It is, or holds, a number that is nan or infinite, none of the choices, or a
            list of another length.
    """
    found = _mismatch(value, hint, key)
    if found is None:
        return
    place, wrong, expected = found
    choices = [part for part in (expected, *get_args(expected)) if get_origin(part) is Literal]
    out_of_range = any(type(wrong) is type(item) for part in choices for item in get_args(part))
    infinite = isinstance(wrong, float) and not math.isfinite(wrong)
    lengths = any(get_origin(part) is tuple for part in (expected, *get_args(expected)))
    out_of_range = out_of_range or (lengths and isinstance(wrong, list | tuple))
    kind = ValueError if infinite or out_of_range else TypeError
    raise kind(f"{place}={_shown(wrong)} must be {describe(expected)}.")


def advice(name: str, known: Iterable[str]) -> str:
    """Say which of the known names was probably meant, else list them."""
    names = list(known)
    near = nearest(name, names, 0.6)
    return f"did you mean {near}?" if near else f"there are {', '.join(names) or 'none'}."


def nearest(name: str, known: Iterable[str], cutoff: float) -> str | None:
    """Find the known name that a misspelt one was probably meant to be.

    Args:
        name: The name.
        known: Right names.
        cutoff: Least likeness, in difflib's measure. Of a short name one letter is much of it, so
            that one letter added, left out or replaced, or two exchanged, always suffice.

    Returns:
        A known name, or None.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
    if near:
        return near[0]
    return next((right for right in names if len(right) > 2 and _is_one_slip(name, right)), None)


def _is_one_slip(name: str, right: str) -> bool:
    one, other = _without_same_start(name, right)
    one, other = _without_same_start(one[::-1], other[::-1])
    return max(len(one), len(other)) < 2 or (len(one) == 2 and one == other[::-1])


def _without_same_start(one: str, other: str) -> tuple[str, str]:
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return one[same:], other[same:]


def _mismatch(value: Any, hint: Any, key: str) -> tuple[str, Any, Any] | None:
    """Find the first part of a value that does not fit: its key, itself, its hint."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        found = [_mismatch(value, part, key) for part in parts]
        if any(item is None for item in found):
            return None
        # Of a list with one bad item, the item is of more help than the list.
        deeper = [item for item in found if item is not None and item[0] != key]
        return deeper[0] if deeper else (key, value, hint)
    if origin is Literal:
        fits = any(type(value) is type(part) and value == part for part in parts)
        return None if fits else (key, value, hint)
    kind = origin or hint
    if not _fits(value, kind):
        return key, value, hint
    if not isinstance(kind, type) or not parts:
        return None
    if issubclass(kind, Mapping):
        items = [(f"a key of {key}", name, parts[0]) for name in value]
        items += [(f"{key}[{name!r}]", item, parts[1]) for name, item in value.items()]
    elif kind is tuple and parts[-1] is not Ellipsis:
        if len(value) != len(parts):
            return key, value, hint
        items = [(f"{key}[{i}]", item, parts[i]) for i, item in enumerate(value)]
    elif issubclass(kind, Iterable) and issubclass(kind, Sequence | typing.Collection):
        items = [(f"{key}[{i}]", item, parts[0]) for i, item in enumerate(value)]
    else:
        return None
    for place, item, part in items:
        if wrong := _mismatch(item, part, place):
            return wrong
    return None


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind, whatever is inside it."""
    if kind is Any:
        return True
    if kind in (None, types.NoneType):
        return value is None
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )
    if not isinstance(kind, type):
        return True
    if issubclass(kind, list | tuple) or kind in _COLLECTIONS:
        # A config writes lists where Python would have tuples, and the reverse.
        return isinstance(value, list | tuple | range | set | frozenset)
    return isinstance(value, kind)


def describe(hint: Any) -> str:
    """Say in words which values a hint allows."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(part) for part in parts))
    if origin is Literal:
        return " or ".join(repr(part) for part in parts)
    kind = origin or hint
    if kind in _WORDS:
        return _WORDS[kind]
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return "a dict"
    if isinstance(kind, type) and (issubclass(kind, list | tuple) or kind in _COLLECTIONS):
        inner = [part for part in parts if part is not Ellipsis]
        if kind is tuple and inner and Ellipsis not in parts:
            return f"a list of {len(inner)} items, {', '.join(describe(part) for part in inner)}"
        return "a list" + (f" whose items are each {describe(inner[0])}" if inner else "")
    return f"a {kind.__name__}" if isinstance(kind, type) else str(hint)


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError:
        # A hint that only type checkers can read is no schema.
        return {}


def _package(item: Any) -> str:
    return str(getattr(item, "__module__", "")).partition(".")[0]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
