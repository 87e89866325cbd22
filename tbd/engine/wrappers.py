"""Access to the model inside wrappers for distributed training or augmentation."""

from typing import Any

from mmengine.model import is_model_wrapper


def unwrap(model: Any) -> Any:
    """Return the model inside any number of MMEngine's model wrappers."""
    while is_model_wrapper(model):
        model = model.module
    return model
