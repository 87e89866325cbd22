"""Weights that are no numbers any more."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def first_non_finite(tensors: Mapping[str, Any]) -> str | None:
    """Find the first tensor with a NaN or an infinity.

    Masks such as those of attention, which hold nothing but zeros and infinities, are passed over.
    The device is waited for once, unless something is found.

    Args:
        tensors: By name; what is no floating-point tensor is passed over.

    Returns:
        Name and value, as ``"student.neck.conv.weight (nan)"``, or None.
    """
    named = {
        name: tensor.detach()
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.numel()
    }
    if not named or _all_finite(list(named.values())):
        return None
    for name, tensor in named.items():
        strange = tensor[~tensor.isfinite()]
        mask = (tensor.isinf() | (tensor == 0)).all()
        if len(strange) and not (tensor.numel() > 1 and bool(mask)):
            return f"{name} ({strange.flatten()[0].item()})"
    return None


def _all_finite(tensors: list[Tensor]) -> bool:
    # One wait for each device.
    devices: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors:
        devices.setdefault(tensor.device, []).append(tensor.isfinite().all())
    return all(bool(torch.stack(flags).all()) for flags in devices.values())


def check_finite_weights(checkpoint: Mapping[str, Any], source: str, advice: str) -> None:
    """Refuse a checkpoint whose weights are no numbers.

    Args:
        checkpoint: With or without meta data around the weights.
        source: What the user calls the checkpoint, such as ``"teacher_ckpt='a.pth'"``.
        advice: What the user can change.

    Raises:
        ValueError: A weight is NaN or infinite.
    """
    weights = checkpoint.get("state_dict", checkpoint)
    found = first_non_finite(weights) if isinstance(weights, Mapping) else None
    if found is not None:
        raise ValueError(f"{source}: the training that wrote it had failed, its {found}. {advice}")
