"""Checkpoints from the network, kept once each and checked before they are kept."""

import hashlib
import os
import re
import secrets
import tarfile
import zipfile
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlparse

import torch

# Model zoos end a name in the first digits of the file's SHA-256: resnet50-0676ba61.pth.
_DIGEST = re.compile(r"-([0-9a-f]{8,64})$")
_DATE = re.compile(r"20\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])")
_PICKLE = b"\x80"


def download(url: str) -> Path:
    """Give the local copy of a checkpoint, downloaded if there is none.

    In a distributed job every process has to make the call: of each node one process
    downloads, and the others wait for it.

    Args:
        url: An http(s) URL.

    Returns:
        A file in PyTorch's hub folder, see :func:`cached_path`.

    Raises:
        ConnectionError: If the URL cannot be downloaded.
        ValueError: If what it gives is not a checkpoint, or not the one that its name promises.
    """
    from mmengine.dist import barrier, get_rank

    path = cached_path(url)
    # The hub folder may be on a disk of the node, so one process of each node downloads.
    local_rank = int(os.environ.get("LOCAL_RANK", get_rank()))
    try:
        if local_rank == 0 and not (path.is_file() and _has_its_digest(path)):
            _fetch(url, path, progress=get_rank() == 0)
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


def cached_path(url: str) -> Path:
    """Say where the copy of a URL is kept.

    Args:
        url: An http(s) URL.

    Returns:
        A file of ``torch.hub.get_dir()``: under its own name, as PyTorch keeps it, where the name
        tells the content by its SHA-256; else under a name that also tells the URL, as different
        files are often called ``latest.pth``.
    """
    name = PurePosixPath(unquote(urlparse(url).path)).name or "checkpoint"
    folder = Path(torch.hub.get_dir(), "checkpoints")
    if _digest(name) is not None:
        return folder / name
    of_url = hashlib.sha256(url.encode()).hexdigest()[:12]
    return folder / f"{Path(name).stem}.{of_url}{Path(name).suffix}"


def _digest(name: str) -> str | None:
    found = _DIGEST.search(Path(name).stem)
    if found is None or _DATE.fullmatch(found[1]):
        return None
    return found[1]


def _has_its_digest(path: Path) -> bool:
    expected = _digest(path.name)
    return expected is None or _sha256(path).startswith(expected)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _fetch(url: str, path: Path, progress: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under another name until it is checked.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        torch.hub.download_url_to_file(url, str(temporary), progress=progress)
        if not _looks_like_a_checkpoint(temporary):
            raise ValueError(
                f"{url} gives no checkpoint but {_beginning(temporary)}. Open the address in a "
                "browser to see what it is; a page that asks to log in, or that shows a file "
                "instead of sending it, has another address for the file itself"
            )
        expected = _digest(path.name)
        if expected is not None and not (actual := _sha256(temporary)).startswith(expected):
            raise ValueError(
                f"the file that {url} gives is damaged or another one: its name promises a "
                f"SHA-256 that begins with {expected}, it has {actual[: max(len(expected), 8)]}. "
                "Try again; if you know the file to be right, download it yourself and give its "
                "local path"
            )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _looks_like_a_checkpoint(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(b"PK"):
        return zipfile.is_zipfile(path)  # false where the end is missing
    return start.startswith(_PICKLE) or tarfile.is_tarfile(path)


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(60)
    if start.startswith(b"PK"):
        return f"an archive that was cut short after {path.stat().st_size} bytes"
    return f"{path.stat().st_size} bytes that begin with {start!r}"
