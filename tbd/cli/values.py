"""Values of arguments, checked for what they are to be used for before anything is done.

Each function is an argparse ``type``: what it refuses is said with the name of the argument.
"""

import argparse
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from tbd.compat import load_checkpoint
from tbd.detectors.config_file import find_config

MOST = 2**31 - 1
"""Largest number of things; more are a slip of the finger."""

_Whole = Callable[[str], int]
_Number = Callable[[str], float]


def key_value(text: str) -> str:
    """Check that a word of ``--cfg-options`` sets something."""
    key, sign, _ = text.partition("=")
    if not key or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} must be of the form KEY=VALUE")
    return text


def whole(least: int, most: int = MOST) -> _Whole:
    """Make a reader of whole numbers from ``least`` to ``most``."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{_short(text)} must be a whole number {_range(least, most)}"
            )
        return value

    return read


positive = whole(1)
count = whole(0)
seed = whole(0, 2**32 - 1)
pixels = whole(32, 2**14)


def number(low: float, high: float = math.inf, *, inside: bool = False) -> _Number:
    """Make a reader of finite numbers from ``low`` to ``high``, or, ``inside``, between them."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        fits = low < value < high if inside else low <= value <= high
        if not fits or not math.isfinite(value):
            bounds = _range(low, high)
            if inside:
                bounds = f"above {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
            raise argparse.ArgumentTypeError(f"{_short(text)} must be a number {bounds}")
        return value

    return read


score = number(0, 1)
share = number(0, 1, inside=True)
time = number(0)


def config(text: str) -> str:
    """Check that a config is there; ``package::path`` names one of a package."""
    try:
        find_config(text)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(_one_line(error)) from None
    return text


def checkpoint(text: str) -> str:
    """Check that a checkpoint is there; what a URL leads to, only its download will show."""
    scheme, sign, _ = text.partition("://")
    if sign and scheme in ("http", "https"):
        return text
    try:
        # Of one that is not there, this says what is there instead.
        if sign or not Path(text).expanduser().is_file():
            load_checkpoint(text)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(_one_line(error)) from None
    return text


def resumable(text: str) -> str:
    """Check that a checkpoint to go on from is there; ``auto`` finds it by itself."""
    return text if text == "auto" else checkpoint(text)


def existing(text: str) -> str:
    """Check that there is a file or a folder."""
    path = Path(text)
    try:
        is_there = bool(text) and (path.is_file() or path.is_dir())
    except OSError:  # a name that is too long
        is_there = False
    if not is_there:
        raise argparse.ArgumentTypeError(
            f"there is no file or folder {_short(text)} in {Path().absolute()}; give one that is "
            "there"
        )
    return text


def folder(text: str) -> str:
    """Check that there is a folder."""
    if not Path(existing(text)).is_dir():
        raise argparse.ArgumentTypeError(f"{_short(text)} is a file; give a folder")
    return text


def output_folder(text: str) -> str:
    """Check that a folder is there, or can be made, and can be written to. Leaves no trace."""
    if not text:
        raise argparse.ArgumentTypeError("'' is no folder; give one, or leave the option out")
    _try_to_write(text, Path(text).expanduser().absolute())
    return text


def subfolder(text: str) -> str:
    """Check a folder that may be named relative to one that is not known yet."""
    return output_folder(text) if not text or Path(text).is_absolute() else text


def output_file(*suffixes: str) -> Callable[[str], str]:
    """Make a check that a file of one of some suffixes, if any, can be written."""

    def check(text: str) -> str:
        path = Path(text).absolute()
        if suffixes and not text.endswith(suffixes):
            raise argparse.ArgumentTypeError(f"{_short(text)} must end in {' or '.join(suffixes)}")
        if not text or os.path.isdir(path):
            raise argparse.ArgumentTypeError(f"{_short(text)} is a folder; give a file in it")
        _try_to_write(text, path, is_file=True)
        # Of a device, which a whole file would take the place of.
        if os.path.exists(path) and not os.path.isfile(path):
            raise argparse.ArgumentTypeError(f"{_short(text)} is no plain file; give another")
        return text

    return check


def file_name(text: str) -> str:
    """Check that a text can be the name of a file, without a folder before it."""
    if text in ("", ".", "..") or Path(text).name != text or len(os.fsencode(text)) > 200:
        raise argparse.ArgumentTypeError(
            f"{_short(text)} must be the name of a file, without folder and suffix"
        )
    return text


def _try_to_write(text: str, path: Path, *, is_file: bool = False) -> None:
    """Write below the innermost folder of a path that is there."""
    folders = path.parents if is_file else (path, *path.parents)
    try:
        os.lstat(path)  # of a name that is too long this fails as writing would
    except FileNotFoundError:
        pass
    except OSError as error:
        _refuse(text, error)
    there = next(parent for parent in folders if os.path.lexists(parent))
    try:
        # Of another name each time, so that processes of one run do not disturb each other.
        os.rmdir(tempfile.mkdtemp(prefix=".tbd-", dir=there))
    except OSError as error:
        _refuse(text, error)


def _refuse(text: str, error: OSError) -> None:
    raise argparse.ArgumentTypeError(
        f"{_short(text)} cannot be written: {error.strerror}; give another place"
    ) from None


def _range(least: float, most: float) -> str:
    return f"of {least:g} or more" if most in (MOST, math.inf) else f"from {least} to {most}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 90 else f"{shown[:89]}…"
