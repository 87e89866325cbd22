"""Networks without their wrappers for distributed training."""

from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn


def bare(network: nn.Module) -> nn.Module:
    """Return the network inside one of MMEngine's model wrappers, or the network itself."""
    wrapper: Any = network
    return wrapper.module if is_model_wrapper(network) else network
