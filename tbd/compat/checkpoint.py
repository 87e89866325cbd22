"""Checkpoints are read as data: nothing that a file says is ever executed."""

import codecs
import contextlib
import difflib
import os
import pickle
import re
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch


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
            PyTorch's hub folder (``torch.hub.get_dir()``).
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
        path = _download(source)
    elif scheme:
        raise ValueError(
            f"cannot load {source!r}: only local paths and http(s) URLs are supported. Download "
            "the file and give its path"
        )
    else:
        path = _existing_file(source)

    # Each time, because MMEngine may withdraw the same types after a load of its own.
    allow_mmengine_checkpoints()
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:
        if isinstance(error, pickle.UnpicklingError) and (names := _refused(path, error)):
            # PyTorch's own message advises to load the file with weights_only=False.
            raise UnsafeCheckpointError(_unsafe(path, names)) from None
        reason = str(error).partition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
        raise ValueError(
            f"cannot read {path} as a checkpoint: {type(error).__name__}, {reason or error}. If it "
            "is incomplete, delete it and copy or download it again; if it is in another format, "
            "save it again with torch.save"
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f"{path} is not a checkpoint: it holds a {type(checkpoint).__name__} instead of a dict"
        )
    return checkpoint


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
    raise FileNotFoundError(f"no checkpoint at {source!r} ({path.absolute()}). {hint}")


def _download(url: str) -> Path:
    from mmengine.dist import barrier, get_rank

    path = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name)
    # The hub folder may be on a disk of the node, so one process of each node downloads.
    local_rank = int(os.environ.get("LOCAL_RANK", get_rank()))
    try:
        if local_rank == 0 and not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=get_rank() == 0)
    except (OSError, HTTPException) as error:
        raise ConnectionError(
            f"cannot download {url} to {path}: {error}. Without a network, put the file there, "
            "or give a local path"
        ) from error
    finally:
        # Also after a failure, which would otherwise leave the other processes waiting.
        barrier()
    if not path.is_file():
        raise ConnectionError(f"another process of this node could not download {url}")
    return path


def _refused(path: Path, error: pickle.UnpicklingError) -> list[str]:
    """Names of the globals for which the file was refused; empty if it was not."""
    found = re.findall(r"GLOBAL (\S+) (?:was not|whose module)|refused: (.+)", str(error))
    names = [name or call for name, call in found]
    # The error stops at the first name. Since torch 2.6 all of them can be listed, though not of
    # a file in the format before torch 1.6.
    list_all = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)
    if names and list_all:
        with contextlib.suppress(ValueError, pickle.UnpicklingError):
            names = sorted(list_all(path)) or names
    return names


def _unsafe(path: Path, names: list[str]) -> str:
    return (
        f"refusing to load {path}: it would import and run {', '.join(names)}. Only if you trust "
        "where it came from, save its weights alone and use the new file:\n"
        f'    checkpoint = torch.load("{path}", map_location="cpu", weights_only=False)\n'
        '    torch.save({"state_dict": checkpoint.get("state_dict", checkpoint)}, '
        f'"{path.with_suffix("")}_weights.pth")'
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
