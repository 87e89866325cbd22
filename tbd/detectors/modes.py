"""Eval mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside, and afterwards each module's own mode again, whatever happened.

    A call of ``train()`` afterwards would not do: parts of a detector, such as frozen stages, may
    be in eval mode while the rest trains.

    Args:
        model: The model; its modules are those at the start.
    """
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training
