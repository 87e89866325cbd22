"""MMDetection's first import, without its notices of optional packages that nothing here needs."""

import importlib
import io
import warnings
from contextlib import redirect_stdout

_NOISY = ("mmdet.datasets", "mmdet.evaluation")


def import_quietly() -> None:
    """Import the parts of MMDetection that print what they miss; an error passes as ever."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="faster_coco_eval is not installed")
        for name in _NOISY:
            importlib.import_module(name)
