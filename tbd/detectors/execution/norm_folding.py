"""Folding the batch norms of a frozen detector into the convolutions before them."""

import weakref
from collections.abc import Collection
from typing import Any

import torch
from mmcv.cnn.bricks.wrappers import Conv2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.nn.utils.parametrize import is_parametrized

from tbd.detectors.forward_hooks import ForwardHooks

_FOLDABLE = (nn.Conv2d.forward, Conv2d.forward)


def has_norms(detector: nn.Module) -> bool:
    """Whether there is any batch norm."""
    return any(isinstance(module, _BatchNorm) for module in detector.modules())


class NormTrace(ForwardHooks):
    """Context in which a detector runs, to see which norms belong to which convolutions.

    The order in which modules are registered says nothing certain: a head may
    share its convolutions between pyramid levels, each with norms of its own. So
    a pair is what was seen: every call of the convolution was followed by a
    call of the norm on its output, and the norm had no other input.

    Args:
        detector: The detector, in eval mode.
        kept: Modules whose outputs are read and must stay what they are.
    """

    def __init__(self, detector: nn.Module, kept: Collection[nn.Module] = ()) -> None:
        super().__init__()
        self._detector = detector
        self._kept = {id(module) for module in kept}
        # A weak reference: a list of all outputs would hold the memory of a training step.
        self._last: tuple[nn.Module, weakref.ref[Tensor]] | None = None
        self._calls: dict[nn.Module, int] = {}
        self._followed: dict[tuple[Any, Any], int] = {}

    def __enter__(self) -> "NormTrace":
        for module in self._detector.modules():
            if isinstance(module, _BatchNorm):
                self.watch(module, self._saw_norm)
            elif _is_foldable(module) and id(module) not in self._kept:
                self.watch(module, self._saw_convolution)
        return self

    def pairs(self) -> list[tuple[nn.Conv2d, _BatchNorm]]:
        """Convolutions and the norms that may be folded into them."""
        return [
            (convolution, norm)
            for (convolution, norm), count in self._followed.items()
            if count == self._calls[convolution] == self._calls[norm]
            and not norm.training
            and norm.running_mean is not None
        ]

    def _saw_convolution(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        self._calls[module] = self._calls.get(module, 0) + 1
        self._last = module, weakref.ref(output)

    def _saw_norm(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        self._calls[module] = self._calls.get(module, 0) + 1
        if self._last is not None and self._last[1]() is args[0]:
            pair = self._last[0], module
            self._followed[pair] = self._followed.get(pair, 0) + 1


class FoldedNorms:
    """Norms folded into the weights of convolutions, in place.

    Args:
        detector: The detector.
        pairs: What to fold, see :meth:`NormTrace.pairs`.
    """

    def __init__(
        self, detector: nn.Module, pairs: Collection[tuple[nn.Conv2d, _BatchNorm]]
    ) -> None:
        self._unfolded = [
            (convolution, convolution.weight, convolution.bias) for convolution, _ in pairs
        ]
        norms = {norm for _, norm in pairs}
        self._places = [
            (parent, name, child)
            for parent in detector.modules()
            for name, child in parent._modules.items()
            if child in norms
        ]
        for convolution, norm in pairs:
            convolution.weight, convolution.bias = _folded(convolution, norm)
        for parent, name, _ in self._places:
            parent._modules[name] = nn.Identity()

    def undo(self) -> None:
        """Bring back norms and weights as they were."""
        for convolution, weight, bias in self._unfolded:
            convolution.weight, convolution.bias = weight, bias
        for parent, name, norm in self._places:
            parent._modules[name] = norm


def _is_foldable(module: nn.Module) -> bool:
    # Subclasses may use their weights otherwise, as those that standardise them.
    return (
        isinstance(module, nn.Conv2d)
        and type(module).forward in _FOLDABLE
        and not is_parametrized(module)
        and not module._forward_pre_hooks
    )


@torch.no_grad()
def _folded(convolution: nn.Conv2d, norm: _BatchNorm) -> tuple[nn.Parameter, nn.Parameter]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # Folding in double precision leaves the rounding of the result as the only one.
    weight, bias = fuse_conv_bn_weights(
        convolution.weight.double(),
        _double(convolution.bias),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        _double(norm.weight),
        _double(norm.bias),
    )
    like = convolution.weight
    return (
        nn.Parameter(weight.to(like), requires_grad=False),
        nn.Parameter(bias.to(like), requires_grad=False),
    )


def _double(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.double()
