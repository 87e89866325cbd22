"""Weights of a frozen detector in the layout in which a CPU's convolutions compute.

oneDNN, which runs PyTorch's convolutions on a CPU, computes in a layout that depends on processor
and convolution, and brings a plain weight into it at every call. A weight that never changes can
stay in it; PyTorch's compiler does the same when it freezes a model.
"""

import copy
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, MutableMapping
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeGuard

import torch
from mmcv.cnn.bricks.wrappers import Conv2d
from mmengine.logging import print_log
from torch import Tensor, nn

TOLERANCE = 1e-5
"""Largest change of an output in float32, as a share of its largest value, that passes for
rounding."""

_OPERATORS = ("_reorder_convolution_weight", "_convolution_pointwise")
_TRIED_CELLS = 16
_PLAIN = (nn.Conv2d, Conv2d)


class _HiddenWeight(MutableMapping[str, Any]):
    """The parameters of a packed convolution: looking at its weight brings it back.

    Args:
        shown: The parameters, with nothing in the place of the weight.
        look: Puts the weight there.
    """

    def __init__(self, shown: dict[str, Any], look: Callable[[], None]) -> None:
        self.shown = shown
        self._look = look

    def __getitem__(self, name: str) -> Any:
        self._before(name)
        return self.shown[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._before(name)
        self.shown[name] = value

    def __delitem__(self, name: str) -> None:
        self._before(name)
        del self.shown[name]

    def __contains__(self, name: object) -> bool:
        return name in self.shown

    def __iter__(self) -> Iterator[str]:
        return iter(self.shown)

    def __len__(self) -> int:
        return len(self.shown)

    def copy(self) -> dict[str, Any]:
        """As of a dict."""
        return dict(self)

    def _before(self, name: str) -> None:
        # Not again by those who have kept this mapping.
        if name == "weight" and self.shown[name] is None:
            self._look()


class PackedConv2d(Conv2d):
    """A convolution that computes with its weight in oneDNN's layout, until someone looks at it.

    Its output has the channels innermost. Whoever asks for its weight, in whatever way a module
    can be asked, gets a plain parameter, and the module is from then on what it was before: so
    nothing that is read, changed or replaced can differ from what is computed with. Copies and
    files of it are plain. With a gradient to be passed on, or under mixed precision, it computes
    with the plain weight.
    """

    _packed: Any
    _layout: torch.memory_format
    _plain_class: type[nn.Conv2d]
    _looked: Callable[[], None]

    @staticmethod
    def pack(module: nn.Conv2d, size: tuple[int, ...], looked: Callable[[], None]) -> None:
        """Turn a plain convolution into a packed one, in place.

        Args:
            module: A convolution in float32 on a CPU, frozen.
            size: Of the inputs to lay the weight out for, [N, C, H, W].
            looked: Called when someone looks at the weight.

        Raises:
            RuntimeError: if this processor or release of PyTorch cannot.
        """
        weight, shown = module.weight, module._parameters
        packed = torch.ops.mkldnn._reorder_convolution_weight(
            weight.data, module.padding, module.stride, module.dilation, module.groups, list(size)
        )
        shown["weight"] = None
        module.__dict__.update(
            _packed=packed,
            _layout=torch.contiguous_format if weight.is_contiguous() else torch.channels_last,
            _plain_class=type(module),
            _looked=looked,
            _parameters=_HiddenWeight(shown, partial(PackedConv2d.look, module)),  # type: ignore[arg-type]
        )
        module.__class__ = PackedConv2d

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [N, C, H, W]."""
        bias = self._parameters["bias"]
        if (
            torch.is_autocast_enabled("cpu")
            or x.numel() == 0
            or (torch.is_grad_enabled() and x.requires_grad)
        ):
            return self._conv_forward(x, self._plain_weight(), bias)
        return torch.ops.mkldnn._convolution_pointwise(
            x,
            self._packed,
            bias,
            self.padding,
            self.stride,
            self.dilation,
            self.groups,
            "none",
            [],
            "",
        )

    def unpack(self) -> None:
        """Become the convolution that it was, for good."""
        shown, plain_class = self.__dict__["_parameters"].shown, self._plain_class
        shown["weight"] = self._plain_weight()
        self.__dict__["_parameters"] = shown
        for name in PackedConv2d.__annotations__:
            del self.__dict__[name]
        self.__class__ = plain_class  # type: ignore[assignment]

    def look(self) -> None:
        """Unpack for someone who looks at the weight."""
        looked = self._looked
        self.unpack()
        looked()

    def __reduce_ex__(self, protocol: Any) -> Any:
        plain = self._plain_class.__new__(self._plain_class)
        shown = self.__dict__["_parameters"].shown
        plain.__dict__.update(self.__dict__)
        plain.__dict__["_parameters"] = {**shown, "weight": self._plain_weight()}
        for name in PackedConv2d.__annotations__:
            del plain.__dict__[name]
        # Of protocol 1, which does not insist on the class of what is reduced.
        return plain.__reduce_ex__(1)

    def __copy__(self) -> nn.Conv2d:
        # Which shares the weight.
        self.look()
        plain: nn.Conv2d = copy.copy(self)
        return plain

    def _apply(self, fn: Any, recurse: bool = True) -> nn.Module:
        like = torch.ones(2, 2, 2, 2, dtype=self._packed.dtype)
        if fn(like) is like and bool((like == 1).all()) and not like.is_shared():
            # It is moved to where it is, as what it is.
            return self
        self.unpack()
        return self._apply(fn, recurse)

    def _get_name(self) -> str:
        return self._plain_class.__name__

    def _plain_weight(self) -> nn.Parameter:
        weight = self._packed.to_dense().contiguous(memory_format=self._layout)
        return nn.Parameter(weight, requires_grad=False)


class Packing(ExitStack):
    """Context in which a detector runs, and each of its convolutions is packed at its first call.

    Each is tried on noise of few cells before; those that would not compute the same stay as they
    are, and so do those of whose weight there is more to know than that it is one: that is
    trained, shared, pruned or normalised, or of a class or with a forward of its own.

    Args:
        detector: The detector, frozen.
        kept: Modules that are also run elsewhere, and are not to be packed with all inside them.
    """

    def __init__(self, detector: nn.Module, kept: Collection[nn.Module] = ()) -> None:
        super().__init__()
        outside = {part for module in kept for part in module.modules()}
        holders = Counter(
            _memory(parameter)
            for module in detector.modules()
            for parameter in module._parameters.values()
            if parameter is not None
        )
        self._modules = [
            module
            for module in detector.modules()
            if module not in outside
            and _can_be_packed(module)
            and holders[_memory(module.weight)] == 1
        ]
        self._changes: dict[nn.Conv2d, float] = {}
        self._seen = False

    def __enter__(self) -> "Packing":
        for module in self._modules:
            module.forward = partial(self._first, module)  # type: ignore[method-assign]
            self.callback(module.__dict__.pop, "forward", None)
        return self

    def report(self) -> None:
        """Warn of those that would not compute the same."""
        changed = [change for change in self._changes.values() if change > TOLERANCE]
        if changed:
            print_log(
                f"The weights of {len(changed)} of {len(self._changes)} convolutions of the "
                "teacher stay as they are: packed for the CPU they would change outputs by up to "
                f"{max(changed):.1e} of their largest value. "
                "teacher_execution.pack_weights=False leaves out the attempt.",
                logger="current",
                level=logging.WARNING,
            )

    def undo(self) -> None:
        """Bring back all weights as they were."""
        for module in self._changes:
            if isinstance(module, PackedConv2d):
                module.unpack()

    def _first(self, module: nn.Conv2d, x: Tensor) -> Tensor:
        # Not one that a compiler looks at, nor one that gradients pass through.
        if torch.compiler.is_compiling() or torch.is_grad_enabled():
            return type(module).forward(module, x)
        del module.forward
        self._changes[module] = _pack(module, tuple(x.shape), self._looked)
        return module.forward(x)

    def _looked(self) -> None:
        if self._seen:
            return
        self._seen = True
        print_log(
            "Someone reads weights of the teacher that were packed for the CPU; those that are "
            "read are plain from now on, which is slower. teacher_execution.pack_weights=False "
            "packs none.",
            logger="current",
        )


def _pack(module: nn.Conv2d, size: tuple[int, ...], looked: Callable[[], None]) -> float:
    """Pack where that is possible and changes nothing; returns what it would change."""
    cells = [min(side, _TRIED_CELLS) for side in size[2:]]
    generator = torch.Generator().manual_seed(0)
    tried = torch.randn(1, size[1], *cells, generator=generator)
    # By forward alone: hooks are not to see what is tried.
    exact = module.forward(tried)
    try:
        PackedConv2d.pack(module, size, looked)
        packed = module.forward(tried)
    except (RuntimeError, TypeError):
        # The operators are PyTorch's own, for its compiler: another release, or another
        # processor, may not have them as they are here.
        if isinstance(module, PackedConv2d):
            module.unpack()
        return 0.0
    change = float((packed - exact).abs().amax() / exact.abs().amax().clamp(1e-30))
    if change > TOLERANCE:
        assert isinstance(module, PackedConv2d)
        module.unpack()
    return change


def _can_be_packed(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    return (
        type(module) in _PLAIN
        and isinstance(module, nn.Conv2d)
        and "forward" not in module.__dict__
        and module._parameters.keys() == {"weight", "bias"}
        and type(module.weight) is nn.Parameter
        and not module.weight.requires_grad
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and module.weight.numel() > 0
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS)
    )


def _memory(parameter: Tensor) -> int:
    return parameter.untyped_storage().data_ptr()
