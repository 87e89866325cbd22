"""``KEY=VALUE``, the form in which options of a config are given."""

import re
from collections.abc import Iterable
from typing import Any

from mmengine.config import DictAction

_QUOTES = ("'", '"')
_CLOSED_BY = {"[": "]", "(": ")"}


def parse_options(words: Iterable[str]) -> dict[str, Any]:
    """Read options of a config as MMEngine does, but keep the spaces of values, as of paths.

    Args:
        words: ``key=value``, each key once.

    Raises:
        ValueError: A word has another form, or two set one key.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not key or not sign:
            raise ValueError(f"--cfg-options: {word!r} must be of the form KEY=VALUE.")
        if key in found:
            raise ValueError(
                f"--cfg-options: {key!r} is set twice, at last by {word!r}; set it once."
            )
        if re.fullmatch(r"\{.*\}|dict\(.*\)", value.strip(), re.DOTALL):
            raise ValueError(
                f"--cfg-options: {word!r}: a value is a number, a text, or a list or tuple of "
                f"these; of a dict set each key by itself, {key}.NAME=VALUE."
            )
        try:
            found[key] = _value(value)
        except _BracketError:
            raise ValueError(
                f"--cfg-options: {word!r} must close as many brackets and quotes as it opens."
            ) from None
    return found


class _BracketError(ValueError):
    pass


def _value(text: str) -> Any:
    text = text.strip()
    plain = _unquoted(text)
    if plain != text and "," in plain and plain[:1] not in _CLOSED_BY:
        return plain
    if "," in plain or plain[:1] in _CLOSED_BY:
        items = _items(plain)
        if len(items) > 1:
            return [_value(item) for item in items if item.strip()]
        if plain.endswith(_CLOSED_BY.get(plain[:1], "\0")):
            inside = [_value(item) for item in _items(plain[1:-1]) if item.strip()]
            return inside if plain.startswith("[") else tuple(inside)
    return DictAction._parse_int_float_bool(plain)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] in _QUOTES else text


def _items(text: str) -> list[str]:
    """Split a text at the commas that are in no brackets and no quotes."""
    items, start, depth, quote = [], 0, 0, ""
    for index, sign in enumerate(text):
        if quote:
            # One inside a word is an apostrophe.
            if sign == quote and text[index + 1 :].lstrip()[:1] in ("", ",", "]", ")"):
                quote = ""
        elif sign in _QUOTES and not text[start:index].strip(" [("):
            quote = sign
        elif sign == "," and depth == 0:
            items.append(text[start:index])
            start = index + 1
        else:
            depth += (sign in _CLOSED_BY) - (sign in _CLOSED_BY.values())
    if depth or quote:
        raise _BracketError
    return [*items, text[start:]]
