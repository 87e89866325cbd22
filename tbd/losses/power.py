"""The power of a focal factor."""

import torch
from torch import Tensor


def safe_power(base: Tensor, exponent: float) -> Tensor:
    """Raise to a power whose gradient at 0 is 0, not infinite, for exponents below 1.

    Args:
        base: At least 0.
        exponent: At least 0; 0⁰ is 1.

    Returns:
        ``base ** exponent``.
    """
    if exponent >= 1 or exponent == 0:
        return base.pow(exponent)
    # Masked before the power too: a gradient of inf · 0 would be NaN.
    positive = base > 0
    return torch.where(positive, base, 1).pow(exponent).where(positive, 0)
