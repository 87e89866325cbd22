"""Reading of config files, with errors that name the file."""

import os.path as osp
import traceback
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config

from tbd.detectors.named_types import with_named_types

SUFFIXES = (".py", ".json", ".yaml", ".yml")
"""Of the files that MMEngine reads as configs."""


def read_config(path: str) -> Config:
    """Read a config file.

    Args:
        path: The file, or ``tbd::…`` or ``mmdet::…`` for one that ships with a package.

    Raises:
        FileNotFoundError: There is no such file, or one that it inherits is not there.
        ImportError: What it imports is not there.
        ValueError: It is no config, or has a mistake.
    """
    file = find_config(path)
    try:
        return with_named_types(Config.fromfile(file))
    except Exception as error:
        message = f"cannot read the config {file}: {_reason(error, file)}. Mend the file."
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(message) from error
        if isinstance(error, ImportError):
            raise ImportError(message) from error
        raise ValueError(message) from error


def find_config(path: str) -> str:
    """Find the file of a config.

    Args:
        path: See :func:`read_config`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is none that MMEngine reads as a config.
    """
    if "::" in path:
        return _packaged(path)
    if not osp.isfile(path):
        place = osp.abspath(path) if path else "'', which is empty"
        place += ", which is a folder" if osp.isdir(path) else ""
        raise FileNotFoundError(f"there is no config file at {place}; give another.")
    if Path(path).suffix not in SUFFIXES:
        raise ValueError(
            f"{osp.abspath(path)} is no config, whose name must end in {', '.join(SUFFIXES)}."
        )
    return path


def _packaged(name: str) -> str:
    package, _, inside = name.partition("::")
    if not package.isidentifier() or not inside or find_spec(package) is None:
        raise FileNotFoundError(
            f"there is no config {name!r}: {package!r} is no package that is installed; give a "
            "file, or a name as mmdet::retinanet/retinanet_r50_fpn_1x_coco.py."
        )
    try:
        path, _ = Config._get_cfg_path(name, "")
    except Exception as error:
        if package == "tbd":
            raise
        raise FileNotFoundError(
            f"{name}: {package} ships no config {inside!r} ({error}); look for its name in that "
            "folder."
        ) from None
    return str(path)


def _reason(error: Exception, file: str) -> str:
    """What went wrong, with the line of the config if it has one."""
    kind = "" if type(error).__module__.startswith("tbd.") else f"{type(error).__name__}, "
    text = f"{kind}{error}"
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == osp.abspath(file)
    ]
    return f"{text} (line {lines[-1]})" if lines else text
