"""Numerical precision of the distillation terms."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def at_least_float32(tensor: Tensor) -> Tensor:
    """Promote half precision to float32 and leave float32 and float64 alone."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def without_autocast(device: torch.device) -> torch.autocast:
    """Context in which operators keep the dtype of their inputs, under AMP too."""
    return torch.autocast(device.type, enabled=False)


class AtLeastFloat32(nn.ModuleDict):
    """Modules that go where their parent goes, but not into half precision.

    What they compute in float32 would not fit their weights after the parent's ``half()``.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        # Every way to move or cast a module comes through here.
        def apply(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            if at_least_float32(result) is result or result.dtype == tensor.dtype:
                return result
            return tensor.to(result.device)

        return super()._apply(apply, recurse)
