"""Numerical precision of the distillation terms."""

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Promote half precision to float32 and leave float32 and float64 alone."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def without_autocast(device: torch.device) -> torch.autocast:
    """Context in which operators keep the dtype of their inputs, under AMP too."""
    return torch.autocast(device.type, enabled=False)
