"""Checks of what losses are given, without waiting for a GPU."""

from typing import Literal

import torch
from torch import Tensor

Reduction = Literal["none", "mean", "sum"]
"""What becomes of the values of a loss: they stay as they are, or their mean or sum is taken."""

# Where an assertion can be left to the device. On "meta" there is nothing to assert.
_ASSERTING_DEVICES = ("cuda", "meta")


def check_integers(**labels: Tensor) -> None:
    """Make sure that tensors, given by name, hold integers.

    Raises:
        TypeError: One does not; the message names it.
    """
    for name, tensor in labels.items():
        if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
            raise TypeError(f"{name} must hold integer labels, not {tensor.dtype}.")


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
