"""Files that are there as a whole or not at all.

At the bottom of the package, because results are written by every room above it.
"""

import hashlib
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Let the body write a file that takes the place of ``path`` once it is complete.

    Until then, and for good if the body fails or is interrupted, ``path`` stays what it was and
    nothing is left beside it; only a process that is killed leaves a hidden file of another name,
    which the next one that writes ``path`` on the same machine removes.
    The content is on the disk before it takes the name, so that a power loss leaves the old or
    the new one. Several processes may write the same file; the last one wins.

    Args:
        path: The file; its folder is made if it does not exist. A link stays one, and what it
            points to is replaced.

    Yields:
        Where to write: a new name in the same folder, with the same suffix.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(target)
    writer = f"{_node()}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary = target.with_name(f".{target.stem}.{writer}{target.suffix}")
    try:
        yield temporary
        # Windows syncs only files that are open for writing.
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


def write_file(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a whole file in one step, see :func:`replacing`.

    Args:
        path: The file.
        content: Bytes, or text that is encoded as UTF-8 with its line ends as they are.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _remove_left_behind(target: Path) -> None:
    """Remove what processes of this machine that are no more have left of the same file."""
    begin, end = re.escape(f".{target.stem}."), re.escape(target.suffix)
    name = re.compile(rf"{begin}{_node()}-(\d+)-[0-9a-f]{{8}}{end}")
    for path in target.parent.iterdir():
        found = name.fullmatch(path.name)
        if found and not _is_alive(int(found[1])):
            path.unlink(missing_ok=True)


def _node() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _sync_folder(folder: Path) -> None:
    # The file itself is safe; some file systems do not sync folders, and Windows opens none.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
