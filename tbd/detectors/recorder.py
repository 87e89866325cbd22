"""Reading the input and output of a detector's modules while it runs."""

from collections.abc import Collection
from types import TracebackType
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle


class OutputRecorder:
    """Context in which the inputs and outputs of some modules are kept.

    Its hooks are gone when the context ends. Containers are copied, since some
    heads replace the entries of their output lists afterwards; tensors are not.

    Args:
        modules: The modules to read, by the name to keep their output under.
        optional: Names of modules that need not be called.

    Attributes:
        inputs: Positional arguments of each module's single call.
        outputs: Output of each module's single call.
    """

    def __init__(self, modules: dict[str, nn.Module], optional: Collection[str] = ()) -> None:
        self.inputs: dict[str, tuple[Any, ...]] = {}
        self.outputs: dict[str, Any] = {}
        self._modules = modules
        self._required = modules.keys() - set(optional)
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> "OutputRecorder":
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._keep_as(name)))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        if exc is None and (silent := self._required - self.outputs.keys()):
            raise RuntimeError(
                f"{', '.join(sorted(silent))} of the student was never called while its loss was "
                "computed, so there is nothing to distill."
            )

    def _keep_as(self, name: str) -> Any:
        def keep(module: nn.Module, args: Any, output: Any) -> None:
            if name in self.outputs:
                raise RuntimeError(
                    f"{name} ({type(module).__name__}) of the student was called twice in one "
                    "step; distillation needs a single call."
                )
            self.inputs[name] = args
            self.outputs[name] = _copy_containers(output)

        return keep


def _copy_containers(output: Any) -> Any:
    if isinstance(output, dict):
        return {key: _copy_containers(value) for key, value in output.items()}
    if isinstance(output, list | tuple):
        return tuple(_copy_containers(item) for item in output)
    return output
