"""Checkpoints are read as data: nothing that a file says is ever executed."""

import codecs
import contextlib
import difflib
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlparse

import numpy as np
import torch

from tbd.compat.config_text import find_program
from tbd.compat.download import download

TRUSTED = "TBD_TRUSTED_CHECKPOINTS"
"""Environment variable: files of one's own, separated by ``:``, that may run code when loaded."""


class UnsafeCheckpointError(RuntimeError):
    """A checkpoint that cannot be read without running code that it names."""


def allow_mmengine_checkpoints() -> None:
    """Extend PyTorch's allow-list by what MMEngine itself writes into checkpoints.

    These are the log history (``HistoryBuffer``) and NumPy's arrays and scalars. With them
    ``torch.load(..., weights_only=True)``, the default since torch 2.6, reads MMEngine's
    checkpoints, and MMEngine can resume. Calling it again changes nothing.
    """
    from mmengine.logging import HistoryBuffer

    codes = np.typecodes["AllInteger"] + np.typecodes["Float"] + "?SU"
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            codecs.encode,  # how arrays write their bytes
            np.ndarray,
            np.dtype,
            *{type(np.dtype(code)) for code in codes},
            *_NUMPY_FUNCTIONS,
            _GETATTR,
        ]
    )


def load_checkpoint(source: str | os.PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """Load a checkpoint as data: tensors, plain containers and MMEngine's log history.

    In a distributed job every process has to make the call: of each node one process
    downloads, and the others wait for it.

    Args:
        source: A local path, or an http(s) URL, which is downloaded once and kept in
            PyTorch's hub folder, see :func:`tbd.compat.download.cached_path`.
        map_location: Where to put the tensors, as for :func:`torch.load`.

    Returns:
        What the file holds, for MMEngine's checkpoints ``state_dict``, ``meta`` and so on.

    Raises:
        FileNotFoundError: If there is no such file.
        ConnectionError: If the URL cannot be downloaded.
        UnsafeCheckpointError: If reading the file would mean to run code that it names.
        ValueError: If the file is damaged, or is not a checkpoint.
    """
    source = os.fspath(source)
    scheme = urlparse(source).scheme if "://" in source else ""
    if scheme in ("http", "https"):
        path = download(source)
    elif scheme:
        raise ValueError(
            f"cannot load {source!r}: only local paths and http(s) URLs are supported. Download "
            "the file and give its path"
        )
    else:
        path = _existing_file(source)
    return read_checkpoint(path, map_location)


def read_checkpoint(
    file: str | os.PathLike[str] | IO[bytes], map_location: Any = None
) -> dict[str, Any]:
    """Read a file, or an open one, as :func:`load_checkpoint` does.

    A local file that ``TBD_TRUSTED_CHECKPOINTS`` names may run code.

    Args:
        file: Path of a file that exists, or a binary file that can be sought in.
        map_location: Where to put the tensors, as for :func:`torch.load`.
    """
    is_open = hasattr(file, "read")
    name = getattr(file, "name", "the data") if is_open else os.fspath(file)  # type: ignore[arg-type]
    # Each time, because MMEngine may withdraw the same types after a load of its own.
    allow_mmengine_checkpoints()
    trusted = not is_open and _is_trusted(Path(name))
    try:
        if not trusted and zipfile.is_zipfile(file):
            _refuse_torchscript(file, name)
        checkpoint = torch.load(file, map_location=map_location, weights_only=not trusted)
    except Exception as error:
        if isinstance(error, pickle.UnpicklingError) and (names := _refused(file, error)):
            # PyTorch's own message advises to load the file with weights_only=False.
            raise UnsafeCheckpointError(
                _unsafe(name, f"import and run {', '.join(names)}")
            ) from None
        reason = str(error).partition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
        raise ValueError(
            f"cannot read {name} as a checkpoint: {type(error).__name__}, {reason or error}. If it "
            "is incomplete, delete it and copy or download it again; if it is in another format, "
            "save it again with torch.save"
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f"{name} is not a checkpoint: it holds a {type(checkpoint).__name__} instead of "
            "a dict; give one that holds weights"
        )
    if not trusted and (program := find_program(checkpoint)):
        raise UnsafeCheckpointError(
            _unsafe(name, f"let MMEngine execute the config that it carries in {program!r}")
        )
    return checkpoint


def _is_trusted(path: Path) -> bool:
    named = os.environ.get(TRUSTED, "").split(os.pathsep)
    if not any(entry and Path(entry).expanduser().resolve() == path.resolve() for entry in named):
        return False
    warnings.warn(f"{TRUSTED} names {path}: what it says is executed", stacklevel=3)
    return True


def _refuse_torchscript(file: Any, name: str) -> None:
    with zipfile.ZipFile(file) as archive:
        members = archive.namelist()
    if any(member.endswith("/constants.pkl") for member in members):
        raise ValueError(f"{name} is a TorchScript program; a checkpoint of weights is needed")
    if hasattr(file, "seek"):
        file.seek(0)


def _existing_file(source: str) -> Path:
    path = Path(source).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        files = sorted(file.name for file in path.glob("*.pth"))
        hint = f"That is a folder, with {', '.join(files[:9]) or 'no .pth file'}"
    elif path.parent.is_dir():
        names = [file.name for file in path.parent.iterdir() if file.is_file()]
        near = difflib.get_close_matches(path.name, names)
        hint = f"Its folder has {', '.join(near)}" if near else "Its folder has no such file"
    else:
        hint = f"There is no folder {path.parent.absolute()} either"
    raise FileNotFoundError(
        f"no checkpoint at {source!r} ({path.absolute()}). {hint}; give another."
    )


def _refused(file: Any, error: pickle.UnpicklingError) -> list[str]:
    """Names of the globals for which the file was refused; empty if it was not."""
    found = re.findall(r"GLOBAL (\S+) (?:was not|whose module)|refused: (.+)", str(error))
    names = [name or call for name, call in found]
    # The error stops at the first name. Since torch 2.6 all of them can be listed, though not of
    # a file in the format before torch 1.6.
    list_all = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)
    if names and list_all and not hasattr(file, "read"):
        with contextlib.suppress(ValueError, pickle.UnpicklingError):
            names = sorted(list_all(file)) or names
    return names


def _unsafe(name: str, action: str) -> str:
    return (
        f"refusing to load {name}: it would {action}. Only if you trust "
        f"where it came from, set {TRUSTED}={name} for this run, or, better, save its weights "
        "alone and use the new file:\n"
        f'    checkpoint = torch.load("{name}", map_location="cpu", weights_only=False)\n'
        '    torch.save({"state_dict": checkpoint.get("state_dict", checkpoint)}, '
        f'"{Path(name).with_suffix("")}_weights.pth")'
    )


def _under_name(function: Any, full_name: str) -> Callable[..., Any]:
    """Wrap a function so that the allow-list knows it by ``full_name``."""

    def named(*args: Any) -> Any:
        return function(*args)

    named.__module__, _, named.__name__ = full_name.rpartition(".")
    named.__qualname__ = named.__name__
    return named


def _statistics_method(owner: Any, name: str) -> Callable[..., Any]:
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
        raise pickle.UnpicklingError(f"refused: builtins.getattr({owner!r}, {name!r})")
    return getattr(owner, name)


# A HistoryBuffer carries its statistics as getattr(HistoryBuffer, "mean"). The real getattr
# would open the whole interpreter to a file, so that name stands for these lookups alone.
_GETATTR = _under_name(_statistics_method, "builtins.getattr")

# NumPy 2 moved its core, and a file carries the name that its writer used.
_NUMPY_FUNCTIONS = [
    _under_name(function, f"numpy.{core}.multiarray.{name}")
    for name, function in (
        ("_reconstruct", np.zeros(0).__reduce__()[0]),
        ("scalar", np.float64(0).__reduce__()[0]),
    )
    for core in ("core", "_core")
]
