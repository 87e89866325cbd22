"""What mmcv reports about the build of its operators, as seen in a run's environment log."""

import torch
import torchvision


def get_compiler_version() -> str:
    """Say where the operators come from, in place of a compiler."""
    return f"none (operators of torchvision {torchvision.__version__})"


def get_compiling_cuda_version() -> str:
    """CUDA version that PyTorch, and with it torchvision, was built for."""
    return torch.version.cuda or "not available"
