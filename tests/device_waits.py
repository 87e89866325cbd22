"""What makes the host wait for a device, found without one."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class DeviceWaits(TorchDispatchMode):
    """Counts, inside a ``with`` block, what PyTorch's operators do about device and host.

    Run on tensors of the device "meta", which have no values: every operator that must read a
    value to go on (``item``, ``bool``, ``nonzero``, a boolean mask as index) raises there. What
    does not raise but waits on a GPU, copies between host and device, is counted. It says nothing
    of waits inside a GPU's own implementation of an operator.

    Attributes:
        copies: Names of operators that copied values between host and device.
        assertions: Number of assertions left to the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[str] = []
        self.assertions = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
        # A number in a tensor of no dimension travels with the operator's call.
        crosses = len({t.device.type for t in tensors if t.ndim > 0}) > 1
        # Ends the making of a tensor from Python's numbers, which are copied before.
        made = func is torch.ops.aten.lift_fresh.default and tensors[0].device.type != "cpu"
        if crosses or made:
            self.copies.append(str(func))
        self.assertions += func in (
            torch.ops.aten._assert_async.msg,
            torch.ops.aten._assert_async.default,
        )
        return result
