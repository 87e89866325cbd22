"""A frozen detector whose weights and forward are in half precision."""

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from tbd.detectors.execution.options import DTYPES

_CAST = (_ConvNd, nn.Linear, nn.MultiheadAttention)


def in_precision(name: str | None, device: torch.device) -> AbstractContextManager[object]:
    """Context in which operators run in a precision of ``DTYPES``; None leaves it as it is."""
    if name is None or not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    dtype = DTYPES[name]
    # Weights are half already, so there is nothing for autocast to keep.
    return torch.autocast(
        device.type,
        dtype=torch.bfloat16 if dtype == torch.float32 else dtype,
        enabled=dtype != torch.float32,
        cache_enabled=False,
    )


def under_autocast(device: torch.device) -> bool:
    """Whether mixed precision is on."""
    available = torch.amp.is_autocast_available(device.type)
    return available and torch.is_autocast_enabled(device.type)


@torch.no_grad()
def cast_weights(detector: nn.Module, name: str, kept: Collection[nn.Module] = ()) -> None:
    """Cast the weights of convolutions and linear layers; norms and statistics stay float32.

    Args:
        detector: The detector, frozen.
        name: ``"bf16"`` or ``"fp16"``.
        kept: Modules that are also run outside, and are left as they are.

    Raises:
        ValueError: if a weight is too large for the precision.
    """
    dtype = DTYPES[name]
    outside = {part for module in kept for part in module.modules()}
    chosen = {
        f"{path}.{key}": parameter
        for path, module in detector.named_modules()
        if isinstance(module, _CAST) and module not in outside
        for key, parameter in module.named_parameters(recurse=False)
    }
    for path, parameter in chosen.items():
        largest = float(parameter.abs().amax()) if parameter.numel() else 0.0
        if largest > torch.finfo(dtype).max:
            raise ValueError(
                f"teacher_execution.dtype={name!r}: weights of the teacher's {path} reach "
                f"{largest:.3g}, and the largest number of {name} is "
                f"{torch.finfo(dtype).max:.3g}. Set teacher_execution.dtype='bf16' or None."
            )
    for parameter in chosen.values():
        parameter.data = parameter.data.to(dtype)
