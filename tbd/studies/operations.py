"""Multiply-adds of a detector."""

from functools import partial
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmengine.analysis import get_model_complexity_info

from tbd.detectors.quiet import quiet_logger


@torch.no_grad()
def count_multiply_adds(model: BaseDetector, batch: dict[str, Any]) -> float | None:
    """Count the multiply-adds of a prediction, as MMEngine counts them.

    Args:
        model: The detector, in eval mode.
        batch: A collated batch of its data.

    Returns:
        Operations in 10⁹, up to the head's outputs; None for a detector that MMEngine cannot
        trace.
    """
    data = model.data_preprocessor(batch, training=False)
    forward = model.forward
    model.forward = partial(forward, data_samples=data["data_samples"])
    try:
        with quiet_logger():
            found = get_model_complexity_info(
                model, None, inputs=(data["inputs"],), show_table=False, show_arch=False
            )
    except (RuntimeError, TypeError, AttributeError):
        return None
    finally:
        model.forward = forward
    return float(found["flops"]) / 1e9
