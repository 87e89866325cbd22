"""One training at a time in a work directory, and one process at a time at a file."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import IO

from tbd.engine.launch import is_first_process

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# A killed training's loader workers, which hold what it held, end within some seconds.
_PATIENCE = 15.0
_POLL = 0.2


@contextmanager
def only_training_in(
    folder: str, patience: float = _PATIENCE, launcher: str = "none"
) -> Iterator[None]:
    """Keep other trainings out of a work directory, whose files they would replace.

    The folder is made if it does not exist. It is free again when the body ends, or the process
    does, however it does. Nothing is kept out of file systems without locks.

    Args:
        folder: The work directory.
        patience: How long to wait for another training to end, in seconds.
        launcher: See :func:`tbd.engine.launched`; the first process of a run acts for all of them.

    Raises:
        OSError: The folder cannot be made.
        ValueError: Another training is at work in it.
    """
    if not is_first_process(launcher):
        yield
        return
    try:
        os.makedirs(folder, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY) if fcntl else None
    except OSError as error:
        raise OSError(
            f"work_dir={folder!r} cannot be written: {error.strerror}; give another place."
        ) from error
    try:
        if descriptor is not None and not _locked(descriptor, patience):
            raise ValueError(
                f"work_dir={folder!r} is that of another training, which is still running: each "
                "would replace the checkpoints of the other. Give another --work-dir, or stop it."
            )
        yield
    finally:
        if fcntl and descriptor is not None:
            # Loader workers that are still there would hold the lock otherwise.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def lock_file(path: Path) -> IO[str] | None:
    """Hold a file until it is closed, or the process ends, so that no other process holds it.

    Args:
        path: The file, which is made if it does not exist.

    Returns:
        It, open to append; None where another process holds it. Nothing is held on file systems
        without locks.
    """
    file = path.open("a")
    if fcntl is not None and not _locked(file.fileno(), patience=0.0):
        file.close()
        return None
    return file


def _locked(descriptor: int, patience: float) -> bool:
    assert fcntl is not None
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(_POLL)
        except OSError:  # of a file system without locks
            return True
        else:
            return True
