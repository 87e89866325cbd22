"""The module ``mmcv._ext``, for an mmcv that was installed without compiled operators."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any, NoReturn

_NAME = "mmcv._ext"


def provide_extension() -> None:
    """Let ``import mmcv._ext`` fall back to operators built on torchvision's.

    Nothing is imported until mmcv asks for its operators. An extension that mmcv brings along
    always wins, because the fallback is the last that Python's import system consults.
    """
    if not any(isinstance(finder, _ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.append(_ExtensionFinder())


class _ExtensionFinder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self, origin=__name__) if fullname == _NAME else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Extension(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        from tbd.compat.ops import OPERATORS

        vars(module).update(OPERATORS)


class _Extension(ModuleType):
    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        # mmcv looks up some hundred operators when it is imported and calls few of them.
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            from tbd.compat.ops import OPERATORS

            raise NotImplementedError(
                f"mmcv's operator {name!r} is needed, but this mmcv has no compiled operators "
                f"and tbd provides only {', '.join(sorted(OPERATORS))}. Build mmcv with its "
                "operators from source (MMCV_WITH_OPS=1, see mmcv's documentation), or use a "
                "model without this operator"
            )

        return missing
