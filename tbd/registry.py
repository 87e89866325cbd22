"""Registries of scope ``tbd``.

They are children of MMEngine's root registries, as MMDetection's own are, so
that a config of any scope can write ``type="tbd.HarmonyDistillation"``. What is registered here
checks its arguments by its type hints, see :mod:`tbd.arguments`.
"""

from collections.abc import Callable
from typing import Any

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

from tbd.arguments import checked


class CheckedRegistry(Registry):
    """A registry of classes that check the arguments that a config gives them."""

    def register_module(
        self,
        name: str | list[str] | None = None,
        force: bool = False,
        module: type | None = None,
    ) -> Any:
        """Register a class, as MMEngine does, with a constructor that checks its arguments."""
        if module is not None:
            return super().register_module(name, force, checked(module))
        register: Callable[[type], type] = super().register_module(name, force)
        return lambda cls: register(checked(cls))


MODELS = CheckedRegistry("model", parent=MMENGINE_MODELS, scope="tbd", locations=["tbd"])
DATASETS = CheckedRegistry("dataset", parent=MMENGINE_DATASETS, scope="tbd", locations=["tbd"])
HOOKS = CheckedRegistry("hook", parent=MMENGINE_HOOKS, scope="tbd", locations=["tbd"])
METRICS = CheckedRegistry("metric", parent=MMENGINE_METRICS, scope="tbd", locations=["tbd"])
TRANSFORMS = CheckedRegistry(
    "transform", parent=MMENGINE_TRANSFORMS, scope="tbd", locations=["tbd"]
)
OPTIM_WRAPPER_CONSTRUCTORS = CheckedRegistry(
    "optimizer wrapper constructor",
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope="tbd",
    locations=["tbd"],
)
