"""Access to the model inside wrappers for distributed training or augmentation."""

from mmengine.model import is_model_wrapper
from torch import nn


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside any number of MMEngine's model wrappers."""
    while is_model_wrapper(model):
        model = model.module
    return model
