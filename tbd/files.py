"""Files that are there as a whole or not at all.

At the bottom of the package, because results are written by every room above it.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Let the body write a file that takes the place of ``path`` once it is complete.

    Until then, and for good if the body fails or is interrupted, ``path`` stays what it was and
    nothing is left beside it; only a process that is killed leaves a hidden file of another name.
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
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
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


def _sync_folder(folder: Path) -> None:
    # The file itself is safe; some file systems do not sync folders, and Windows opens none.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
