"""Checks of the parameters and inputs of losses."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Where an assertion can be left to the device. On "meta" there is nothing to assert.
_ASSERTING_DEVICES = ("cuda", "meta")


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


def check_values(valid: Tensor, values: Tensor, requirement: str, hint: str = "") -> None:
    """Check values of a tensor, without waiting for a GPU.

    Reading one number from a GPU makes the host wait for all that is queued there, at every step.
    So a GPU checks by itself (``torch._assert_async``): it stops the program with the requirement
    before anything is computed from wrong values, but cannot say which value it was.
    ``torch.autograd.detect_anomaly`` brings the message of the CPU back, and the waiting with it.

    Args:
        valid: Whether each value meets the requirement, a boolean tensor.
        values: The values, of the same shape.
        requirement: Such as ``"target must be 0 or 1"``.
        hint: Follows the value in the message.

    Raises:
        ValueError: A value does not meet the requirement; the message names the first.
        RuntimeError: Likewise on a GPU, at whatever waits for it next.
    """
    everywhere = valid.all()
    if valid.device.type in _ASSERTING_DEVICES and not torch.is_anomaly_enabled():
        torch._assert_async(everywhere, requirement)
    elif not everywhere:
        value = values[~valid][0].item()
        shown = f"{value:g}" if isinstance(value, float) else value
        raise ValueError(f"{requirement}, but holds {shown}{hint}.")
