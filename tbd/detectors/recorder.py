"""Recording the input and output of a detector's modules while it runs."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from tbd.detectors.forward_hooks import ForwardHooks
from tbd.precision import at_least_float32


@dataclass(frozen=True)
class Call:
    """One call of a module.

    Attributes:
        inputs: Its positional arguments.
        output: What it returned; or its input, where that is recorded in its place.
    """

    inputs: tuple[Any, ...]
    output: Any


class OutputRecorder(ForwardHooks):
    """Context in which the calls of some modules are recorded.

    Its hooks are gone when the context ends. Containers are copied, since some
    heads replace the entries of their output lists afterwards; tensors are not.

    Args:
        modules: The modules to record, by the name to keep their calls under.
        role: Whose modules they are, for error messages.
        optional: Names of modules that need not be called.
        float32: Keep tensors of half precision as copies in float32.
        inputs: Modules of which a copy of the input is recorded in place of the
            output, since they may overwrite it; by names like those of ``modules``.

    Attributes:
        calls: The calls of each module in their order; a module shared by the
            pyramid levels is called once per level.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        role: str = "detector",
        optional: Collection[str] = (),
        float32: bool = False,
        inputs: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self._inputs = dict(inputs or {})
        self._modules = dict(modules)
        self.calls: dict[str, list[Call]] = {name: [] for name in (*modules, *self._inputs)}
        self._role = role
        self._required = self.calls.keys() - set(optional)
        self._float32 = float32

    def __enter__(self) -> "OutputRecorder":
        for name, module in self._modules.items():
            self.watch(module, self._keep_as(name))
        for name, module in self._inputs.items():
            self.watch_input(module, self._keep_input_as(name))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc, traceback)
        silent = sorted(name for name in self._required if not self.calls[name])
        if exc is None and silent:
            raise RuntimeError(
                f"{', '.join(silent)} of the {self._role} was never called while its loss was "
                "computed, so there is nothing to distill."
            )

    def outputs(self, name: str) -> tuple[Any, ...]:
        """What a module returned, call by call."""
        return tuple(call.output for call in self.calls[name])

    def only(self, name: str) -> Call:
        """The single call of a module.

        Raises:
            RuntimeError: if it was called more than once.
        """
        calls = self.calls[name]
        if len(calls) != 1:
            raise RuntimeError(
                f"{name} ({type(self._modules[name]).__name__}) of the {self._role} was called "
                f"{len(calls)} times in one step; distillation needs a single call."
            )
        return calls[0]

    def make_contiguous(self) -> None:
        """Lay out all outputs as their shapes say, whatever the modules computed in."""
        for name, calls in self.calls.items():
            self.calls[name] = [
                Call(call.inputs, _copy_containers(call.output, Tensor.contiguous))
                for call in calls
            ]

    def detach(self) -> None:
        """Cut all that was recorded from its graph; its floating tensors become leaves."""
        for name, calls in self.calls.items():
            self.calls[name] = [
                Call(_copy_containers(call.inputs, _leaf), _copy_containers(call.output, _leaf))
                for call in calls
            ]

    def _keep_as(self, name: str) -> Any:
        convert = at_least_float32 if self._float32 else _unchanged

        def keep(module: nn.Module, args: Any, output: Any) -> None:
            inputs = _copy_containers(args, at_least_float32) if self._float32 else args
            self.calls[name].append(Call(inputs, _copy_containers(output, convert)))

        return keep

    def _keep_input_as(self, name: str) -> Any:
        convert = at_least_float32 if self._float32 else _unchanged

        def keep(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            self.calls[name].append(Call((), convert(args[0].clone())))

        return keep


def _copy_containers(output: Any, convert: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(output, dict):
        return {key: _copy_containers(value, convert) for key, value in output.items()}
    if isinstance(output, list | tuple):
        return tuple(_copy_containers(item, convert) for item in output)
    return convert(output) if isinstance(output, Tensor) else output


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.is_floating_point())
