"""Names in figures as they are written."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import matplotlib as mpl

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def literal(draw: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Let a function draw texts as they are: the ``$`` of a user's name begins no formula."""

    @functools.wraps(draw)
    def drawn(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with mpl.rc_context({"text.parse_math": False}):
            return draw(*args, **kwargs)

    return drawn
