"""Packages of the extra ``tbd[onnx]``, imported when they are used."""

import importlib
from typing import Any


def import_extra(name: str) -> Any:
    """Import a package that tbd works without, until it is asked for ONNX.

    Args:
        name: ``"onnx"``, ``"onnxruntime"``, or a module of theirs.

    Raises:
        ImportError: if it is not installed; the message says how to.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = name.partition(".")[0]
        raise ImportError(
            f"ONNX files need the package {missing}: pip install 'tbd[onnx]' ({error})"
        ) from None
