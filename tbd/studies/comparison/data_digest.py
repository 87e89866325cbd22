"""What stands for the content of files: checkpoints, and the annotations that a config names."""

import hashlib
from functools import cache
from pathlib import Path

from mmengine.config import Config

from tbd.engine.data_content import annotation_sources


def digest_of_file(file: str | Path) -> str | None:
    """SHA-256 of a local file; None where there is no such file."""
    path = Path(file).expanduser()
    if not path.is_file():
        return None
    found = path.stat()
    return _digest(path.resolve(), found.st_mtime_ns, found.st_size)


@cache
def _digest(path: Path, modified: int, size: int) -> str:
    # All runs of a comparison have the same teacher and data, whose files are large.
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def digest_of_annotations(cfg: Config, split: str) -> str | None:
    """SHA-256 of the annotation files of a split.

    Args:
        cfg: The config.
        split: ``"train"``, ``"val"`` or ``"test"``.

    Returns:
        It, wherever the files lie; None where the split has no local file, or one is not there.
    """
    files: list[str | Path] = []
    for source in annotation_sources(cfg, (split,)):
        files.append(source.file)
        if source.voc is not None and Path(source.file).is_file():
            files += map(source.voc.xml, source.voc.listed())
    digests = [digest_of_file(file) for file in files]
    if not digests or None in digests:
        return None
    return hashlib.sha256("".join(filter(None, digests)).encode()).hexdigest()
