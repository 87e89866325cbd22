"""Checks of what a type hint does not say: ranges of numbers, names and shapes.

Each takes what it checks by keyword, so that the message can name it.
"""

import math
from typing import Any, get_args

from torch import Tensor


def check_positive(**numbers: float) -> None:
    """Make sure that numbers are finite and above 0.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise ValueError(f"{name}={number} must be finite and positive.")


def check_not_negative(**numbers: float) -> None:
    """Make sure that numbers are finite and at least 0.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, number in numbers.items():
        if not 0 <= number < math.inf:
            raise ValueError(f"{name}={number} must be finite and not negative.")


def check_at_least_one(**numbers: float) -> None:
    """Make sure that numbers, such as counts and widths, are at least 1.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, number in numbers.items():
        if not number >= 1:
            raise ValueError(f"{name}={number} must be at least 1.")


def check_fraction(**numbers: float) -> None:
    """Make sure that numbers lie in [0, 1].

    Raises:
        ValueError: One does not; the message names it.
    """
    for name, number in numbers.items():
        if not 0 <= number <= 1:
            raise ValueError(f"{name}={number} must be in [0, 1].")


def check_choice(choices: Any, **names: str) -> None:
    """Make sure that names are among those of a ``Literal``.

    Args:
        choices: The ``Literal`` that lists the names.
        **names: The names.

    Raises:
        ValueError: One is not; the message names it and lists the choices.
    """
    for key, name in names.items():
        if name not in get_args(choices):
            raise ValueError(
                f"{key}={name!r} is unknown; choose one of {', '.join(get_args(choices))}."
            )


def check_same_shape(**tensors: Tensor) -> None:
    """Make sure that tensors have one shape.

    Raises:
        ValueError: They have not; the message names all of them.
    """
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        *shapes, last = (f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())
        raise ValueError(f"{', '.join(shapes)} and {last} must have one shape.")
