"""Names and values that every part of a config may have wrong."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tbd.arguments import advice, check_value
from tbd.checks import check_at_least_one, check_not_negative

# How alike a misspelt name and the right one are, in difflib's measure.
NEAR = 0.85


def refuse_near(key: str, value: Any, read: Iterable[str], place: str) -> None:
    """Refuse a name that nothing reads and by which one of the names that are read was meant.

    Args:
        key: The name in the config.
        value: Its value, for the message.
        read: Names that are read.
        place: What stands before the name in its config key, such as ``"env_cfg."``.

    Raises:
        ValueError: The name is near to one that is read.
    """
    names = [name for name in read if name != "self"]
    if key in names:
        return
    near = difflib.get_close_matches(key, names, n=1, cutoff=NEAR)
    # A variable of one's own may be named after what it stands in for, as val_evaluator_full.
    if near and not key.startswith(f"{near[0]}_"):
        raise ValueError(
            f"{place}{key}={shorten(value)} is read by nothing; did you mean {place}{near[0]}? "
            "A variable of your own needs a name less alike."
        )


def refuse_unknown(
    settings: Mapping[str, Any],
    function: Callable[..., Any],
    place: str,
    *,
    given: Sequence[str] = (),
    beside: Sequence[str] = ("type", "_scope_"),
    remedy: str = "",
) -> None:
    """Refuse what a function, or the constructor of a class, does not take.

    Args:
        settings: What a config gives to it, by name.
        function: The function; one that takes names of any kind is let be.
        place: Config key of the settings.
        given: Names of arguments that it gets from elsewhere.
        beside: Names in the settings that are not meant for it.
        remedy: Said behind the advice.

    Raises:
        ValueError: A name is none of its arguments.
    """
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [name for name in parameters if name not in given]
    for key, value in settings.items():
        if key not in (*known, *beside):
            raise ValueError(
                f"{place}.{key}={shorten(value)} is no argument of {function.__name__}; "
                f"{advice(key, known)}{remedy}"
            )


def check_rate(value: Any, key: str) -> None:
    """Refuse what is no number, or a negative one.

    Raises:
        TypeError: The value is no number.
        ValueError: It is negative.
    """
    check_value(value, float, key)
    check_not_negative(**{key: value})


def check_count(value: Any, key: str) -> None:
    """Refuse what is no whole number, or less than 1.

    Raises:
        TypeError: The value is no whole number.
        ValueError: It is less than 1.
    """
    check_value(value, int, key)
    check_at_least_one(**{key: value})


def is_number(value: Any) -> bool:
    """Whether a value is a number, which True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shorten(value: Any) -> str:
    """Write a value for a message, at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
