"""Names and values that every part of a config may have wrong."""

import difflib
from collections.abc import Iterable
from typing import Any

from tbd.arguments import check_value

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


def check_not_negative(value: Any, key: str) -> None:
    """Refuse what is no number, or a negative one.

    Raises:
        TypeError: The value is no number.
        ValueError: It is negative.
    """
    check_value(value, float, key)
    if value < 0:
        raise ValueError(f"{key}={value} must not be negative.")


def check_at_least(value: Any, least: int, key: str) -> None:
    """Refuse what is no whole number, or too small a one.

    Raises:
        TypeError: The value is no whole number.
        ValueError: It is below ``least``.
    """
    check_value(value, int, key)
    if value < least:
        raise ValueError(f"{key}={value} must be {least} or more.")


def is_number(value: Any) -> bool:
    """Whether a value is a number, which True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shorten(value: Any) -> str:
    """Write a value for a message, at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
