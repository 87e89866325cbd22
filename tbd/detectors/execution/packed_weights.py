"""Weights of a frozen detector in the layout in which a CPU's convolutions compute.

oneDNN, which runs PyTorch's convolutions on a CPU, computes in a layout that depends on processor
and convolution, and brings a plain weight into it at every call. A weight that never changes can
stay in it; PyTorch's compiler does the same when it freezes a model.
"""

import logging
from collections.abc import Collection
from math import prod
from typing import Any

import torch
from mmcv.cnn.bricks.wrappers import Conv2d
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from tbd.detectors.forward_hooks import ForwardHooks

TOLERANCE = 1e-5
"""Largest change of an output in float32, as a share of its largest value, that passes for
rounding."""

_OPERATORS = ("_reorder_convolution_weight", "_convolution_pointwise")
_TRIED_CELLS = 16
_PLAIN = (nn.Conv2d, Conv2d)


class PackedConv2d(Conv2d):
    """A convolution whose weight is in oneDNN's layout.

    Its output has the channels innermost. With a gradient to be passed on, under mixed precision,
    and in copies, on other devices and in its state, it is the plain one.
    """

    weight: nn.Parameter

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [N, C, H, W]."""
        if not self.weight.is_mkldnn:
            return super().forward(x)
        if (
            torch.is_autocast_enabled("cpu")
            or x.numel() == 0
            or (torch.is_grad_enabled() and x.requires_grad)
        ):
            return self._conv_forward(x, self.weight.to_dense(), self.bias)
        return torch.ops.mkldnn._convolution_pointwise(
            x,
            self.weight,
            self.bias,
            self.padding,
            self.stride,
            self.dilation,
            self.groups,
            "none",
            [],
            "",
        )

    def pack(self, size: tuple[int, ...]) -> None:
        """Bring the weight into the layout for inputs of this size [N, C, H, W]."""
        packed = torch.ops.mkldnn._reorder_convolution_weight(
            self.weight.data, self.padding, self.stride, self.dilation, self.groups, list(size)
        )
        self.weight = nn.Parameter(packed, requires_grad=False)

    def unpack(self) -> None:
        """Bring back the weight as it was."""
        if self.weight.is_mkldnn:
            self.weight = nn.Parameter(self.weight.to_dense(), requires_grad=False)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self.weight.is_mkldnn:
            weight = nn.Parameter(self.weight.to_dense(), requires_grad=False)
            state["_parameters"] = {**self._parameters, "weight": weight}
        return state

    def _apply(self, fn: Any, recurse: bool = True) -> "PackedConv2d":
        like = torch.empty(0, dtype=self.weight.dtype, device=self.weight.device)
        moved = fn(like)
        if not self.weight.is_mkldnn or (moved.dtype, moved.device) != (like.dtype, like.device):
            self.unpack()
            return super()._apply(fn, recurse)
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.unpack()
        super()._load_from_state_dict(*args, **kwargs)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.weight.is_mkldnn:
            destination[f"{prefix}weight"] = self.weight.to_dense()


class InputSizes(ForwardHooks):
    """Context in which a detector runs, to see on what sizes its convolutions compute.

    Args:
        detector: The detector.
        kept: Modules that are also run elsewhere, and are not to be packed with all inside them.
    """

    def __init__(self, detector: nn.Module, kept: Collection[nn.Module] = ()) -> None:
        super().__init__()
        outside = {part for module in kept for part in module.modules()}
        self._modules = [module for module in detector.modules() if module not in outside]
        self._sizes: dict[nn.Conv2d, tuple[int, ...]] = {}

    def __enter__(self) -> "InputSizes":
        for module in self._modules:
            if type(module) in _PLAIN:
                self.watch(module, self._saw)
        return self

    def pack(self) -> bool:
        """Pack the convolutions that were run and can be; those on no CPU cannot.

        Returns:
            Whether there are any.
        """
        changes = {module: _pack(module, size) for module, size in self._sizes.items()}
        changed = [module for module, change in changes.items() if change > TOLERANCE]
        if changed:
            print_log(
                f"The weights of {len(changed)} of {len(changes)} convolutions of the teacher stay "
                "as they are: packed for the CPU they would change outputs by up to "
                f"{max(changes.values()):.1e} of their largest value. "
                "Leave out teacher_execution.pack_weights.",
                logger="current",
                level=logging.WARNING,
            )
        return any(module.weight.is_mkldnn for module in changes)

    def unpack(self) -> None:
        """Bring back all weights as they were."""
        for module in self._sizes:
            if isinstance(module, PackedConv2d):
                module.unpack()

    def _saw(self, module: nn.Conv2d, args: tuple[Tensor, ...], output: Tensor) -> None:
        size = tuple(args[0].shape)
        # A head shares its convolutions between levels; the largest takes longest.
        if module not in self._sizes or prod(size) > prod(self._sizes[module]):
            self._sizes[module] = size


def _pack(module: nn.Conv2d, size: tuple[int, ...]) -> float:
    """Pack where that is possible and changes nothing; returns what it would change."""
    if not _can_be_packed(module):
        return 0.0
    weight: Any = module.weight
    kind: Any = type(module)
    cells = [min(side, _TRIED_CELLS) for side in size[2:]]
    generator = torch.Generator().manual_seed(0)
    tried = torch.randn(1, size[1], *cells, generator=generator)
    exact = module(tried)
    module.__class__ = PackedConv2d
    assert isinstance(module, PackedConv2d)
    try:
        module.pack(size)
        packed = module(tried)
    except (RuntimeError, TypeError):
        # The operators are PyTorch's own, for its compiler: another release, or another
        # processor, may not have them as they are here.
        module.weight, module.__class__ = weight, kind
        return 0.0
    change = float((packed - exact).abs().amax() / exact.abs().amax().clamp(1e-30))
    if change > TOLERANCE:
        module.unpack()
    return change


def _can_be_packed(module: nn.Conv2d) -> bool:
    return (
        torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS)
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and not is_parametrized(module)
    )
