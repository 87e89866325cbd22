"""Fully connected networks."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn


def fully_connected(
    sizes: Sequence[int],
    activation: Callable[[], nn.Module] = nn.ReLU,
    batch_norm: bool = False,
) -> nn.Sequential:
    """Stack linear layers with an activation between, none after the last.

    Args:
        sizes: Number of inputs, then of the outputs of each layer.
        activation: Makes the activation.
        batch_norm: Whether to normalise before each activation.

    Raises:
        ValueError: if there are fewer than two sizes, or one is not positive.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes={tuple(sizes)} must be two or more numbers >= 1.")
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        if layers:
            layers += [nn.BatchNorm1d(size), activation()] if batch_norm else [activation()]
        layers.append(nn.Linear(size, following))
    return nn.Sequential(*layers)
