"""Parts of a detector compiled by ``torch.compile``, while hooks go on to see them."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn

from tbd.detectors.execution.options import CompileOptions


class CompiledParts:
    """Compiled forwards of some parts of a detector, one graph per input shape.

    Only ``forward`` of a part is compiled, not its call, so its hooks run outside
    of the graph. A part inside of which something is recorded stays as it is.
    Nothing is left on the modules: copies of them have no compiled code.

    Args:
        options: How to compile.
        role: ``"student"`` or ``"teacher"``, for messages.
        frozen: The weights never change: on a CPU, inductor lays them out for its kernels once.
    """

    def __init__(self, options: CompileOptions, role: str, frozen: bool = False) -> None:
        self._options = options
        self._role = role
        self._frozen = frozen
        self._forwards: dict[tuple[int, bool], tuple[nn.Module, Callable[..., Any]]] = {}
        self._shapes: list[tuple[int, ...]] = []
        self._compiled: set[tuple[int, bool, tuple[int, ...] | None]] = set()

    def __deepcopy__(self, memo: dict[int, Any]) -> "CompiledParts":
        return CompiledParts(self._options, self._role, self._frozen)

    @contextmanager
    def active(
        self,
        detector: nn.Module,
        names: Collection[str],
        recorded: Collection[nn.Module],
        shape: tuple[int, ...],
    ) -> Iterator[None]:
        """Run compiled inside.

        Args:
            detector: The detector.
            names: Attributes of the parts to compile.
            recorded: Modules with hooks.
            shape: Shape of the images [N, 3, H, W].
        """
        if shape not in self._shapes and len(self._shapes) < self._options.max_shapes:
            self._shapes.append(shape)
        parts = {name: getattr(detector, name) for name in names}
        swapped = []
        try:
            for name, part in parts.items():
                inside = set(part.modules()) - {part}
                if inside.isdisjoint(recorded):
                    part.forward = self._forward(name, part, shape)
                    swapped.append(part)
            yield
        finally:
            for part in swapped:
                del part.forward

    def _forward(self, name: str, part: nn.Module, shape: tuple[int, ...]) -> Callable[..., Any]:
        fixed = shape in self._shapes
        key = id(part), fixed
        if key not in self._forwards or self._forwards[key][0] is not part:
            options = self._options
            mode = None if options.mode == "default" else options.mode
            compiled = torch.compile(
                part.forward, mode=mode, dynamic=not fixed, backend=options.backend
            )
            self._forwards[key] = part, compiled
        compiled = self._forwards[key][1]
        this = (*key, shape if fixed else None)
        if this in self._compiled:
            return compiled

        def first(*args: Any, **kwargs: Any) -> Any:
            sizes = "×".join(map(str, shape)) if fixed else "any size"
            seen = f" ({len(self._shapes)} of {self._options.max_shapes})" if fixed else ""
            what = f"the {self._role}'s {name} for images of {sizes}{seen}"
            print_log(f"Compiling {what} …", logger="current")
            start = time.perf_counter()
            try:
                with self._freezing(part):
                    result = compiled(*args, **kwargs)
            except Exception as error:
                raise RuntimeError(
                    f"{self._role}_execution.compile: {what} failed ({error}). Set it to None to "
                    "run without compilation."
                ) from error
            seconds = time.perf_counter() - start
            print_log(f"Compiled {what} in {seconds:.0f} s", logger="current")
            self._compiled.add(this)
            return result

        return first

    def _freezing(self, part: nn.Module) -> AbstractContextManager[object]:
        """Context in which a compiler may take the weights for constants."""
        freezes = (
            self._frozen
            and self._options.backend == "inductor"
            and all(parameter.device.type == "cpu" for parameter in part.parameters())
        )
        if not freezes:
            return nullcontext()
        # Imported by whoever compiles alone: it takes long.
        from torch._inductor import config

        # As an option of torch.compile it has no effect.
        patch: AbstractContextManager[object] = config.patch(freezing=True)
        return patch
