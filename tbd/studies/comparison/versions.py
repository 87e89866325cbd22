"""Versions of the packages that a result depends on."""

import importlib
import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("torch", "torchvision", "mmdet", "mmengine", "mmcv")


def versions() -> dict[str, str]:
    """Name → version of Python, tbd and the packages below it.

    MMDetection, MMEngine and MMCV come in two distributions, so they are asked themselves; tbd is
    ``unknown`` where it is used without being installed.
    """
    found = {name: str(importlib.import_module(name).__version__) for name in _PACKAGES}
    try:
        own = version("tbd")
    except PackageNotFoundError:
        own = "unknown"
    return {"python": platform.python_version(), **found, "tbd": own}
