"""Precision in which torchvision's kernels compute."""

import torch
from torch import Tensor


def computable(tensor: Tensor) -> Tensor:
    """Widen bfloat16, for which torchvision has no kernels, to float32."""
    return tensor.float() if tensor.dtype is torch.bfloat16 else tensor
