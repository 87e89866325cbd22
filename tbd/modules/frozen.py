"""A network that takes part in a training without being trained."""

import copy
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class FrozenModule(Generic[Network]):
    """Holds a network outside of ``nn.Module``'s bookkeeping.

    Not being a module, it stays out of ``parameters()``, ``state_dict()``,
    ``named_modules()`` and so of the optimizer, DistributedDataParallel and
    checkpoints. Copies (EMA makes one) share the network until one of them
    moves it to another device or dtype.

    Args:
        module: The network; it is frozen and set to eval mode.

    Attributes:
        module: As given.
    """

    def __init__(self, module: Network) -> None:
        module.requires_grad_(False)
        module.eval()
        self.module = module
        self._shared = False
        first = next(module.parameters(), torch.empty(0))
        # Where and what it is, which is not to be found out by looking at its parameters: a
        # packed convolution is unpacked by that.
        self._like = torch.empty(0, dtype=first.dtype, device=first.device)

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenModule[Network]":
        duplicate = copy.copy(self)
        self._shared = duplicate._shared = True
        return duplicate

    def apply_(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Follow a ``Module._apply``, as ``.to()``, ``.half()`` or ``.cuda()`` issue it."""
        like, self._like = self._like, fn(self._like)
        if self._shared:
            if (self._like.dtype, self._like.device) == (like.dtype, like.device):
                return
            self.module = copy.deepcopy(self.module)
            self._shared = False
        self.module._apply(fn)
