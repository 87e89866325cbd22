"""``KEY=VALUE``, the form in which options of a config are given."""

from collections.abc import Iterable
from typing import Any

from mmengine.config import DictAction


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
        try:
            found[key] = _value(value)
        except AssertionError:
            raise ValueError(
                f"--cfg-options: {word!r} must close as many brackets as it opens."
            ) from None
    return found


def _value(text: str) -> Any:
    plain = text.strip().strip("'\"")
    if "," in plain or plain[:1] in ("[", "("):
        return DictAction._parse_iterable(text)
    return DictAction._parse_int_float_bool(plain)
