"""Checks of the parameters of losses."""

import math
from collections.abc import Sequence


def check_positive(**parameters: float) -> None:
    """Check that every parameter is finite and above 0.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, value in parameters.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0, but is {value}.")


def check_at_least_zero(**parameters: float) -> None:
    """Check that every parameter is finite and not negative.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, value in parameters.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0, but is {value}.")


def check_fraction(**parameters: float) -> None:
    """Check that every parameter lies in [0, 1].

    Raises:
        ValueError: One does not; the message names it.
    """
    for name, value in parameters.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be in [0, 1], but is {value}.")


def check_choice(choices: Sequence[str], **parameters: str) -> None:
    """Check that every parameter is one of the choices.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, value in parameters.items():
        if value not in choices:
            raise ValueError(f"{name}={value!r} is unknown; choose one of {', '.join(choices)}.")
