"""Logits of heads that return probabilities."""

import torch
from torch import Tensor

from tbd.precision import at_least_float32

SMALLEST = 1e-12
"""Probability, logit −27.6, below which a prediction counts as impossible."""


def logits_of(probability: Tensor) -> Tensor:
    """Invert a sigmoid.

    Args:
        probability: Any shape, in [0, 1].

    Returns:
        log(p / (1 − p)) of that shape, at least float32 and finite: p counts
        as at least 1e-12, and at most as the largest number below 1 of the
        precision in which it was computed. Beyond these there is no gradient.
    """
    largest = 1 - torch.finfo(probability.dtype).eps / 2
    clamped = at_least_float32(probability).clamp(SMALLEST, largest)
    return clamped.log() - torch.log1p(-clamped)
