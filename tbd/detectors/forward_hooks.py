"""Hooks on the forward of modules that are gone when their context ends."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from torch import nn


class ForwardHooks(ExitStack):
    """Context in which modules are watched; what begins it says which."""

    def watch(self, module: nn.Module, hook: Callable[..., Any]) -> None:
        """Register a forward hook until the context ends."""
        self.callback(module.register_forward_hook(hook).remove)

    def watch_input(self, module: nn.Module, hook: Callable[..., Any]) -> None:
        """Likewise one that is called before the module is."""
        self.callback(module.register_forward_pre_hook(hook).remove)
