"""Choice of the checkpoint that an interrupted training continues from."""

import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from tbd.arguments import check_value
from tbd.compat import load_checkpoint
from tbd.detectors.finite_weights import first_non_finite


def set_resume(cfg: Config, resume: str | Path | None) -> None:
    """Make ``cfg`` continue an earlier run, if ``resume`` asks for it.

    A seed that MMEngine drew for the earlier run is taken over, because data
    loaders are seeded before MMEngine reads it from the checkpoint.

    Args:
        cfg: The config of the run with ``work_dir`` set, changed in place.
        resume: ``None`` for what the config says with ``resume=True``, if it does, else a new
            run; ``"auto"`` for the last good checkpoint of the work directory (a new run if there
            is none), else a checkpoint file or URL.

    Raises:
        FileNotFoundError: ``resume`` names a file that does not exist.
        TypeError: ``resume`` is something else, such as True.
        ValueError: ``resume`` names a file that cannot be resumed from.
    """
    if isinstance(resume, Path):
        resume = str(resume)
    check_value(resume, str | None, "resume")
    if resume is None and cfg.get("resume"):
        # What MMEngine would find by itself it would not look at.
        resume = cfg.get("load_from") or "auto"
    if resume is None:
        _check_start(cfg.get("load_from"))
        return
    if "://" in resume:
        cfg.resume, cfg.load_from = True, resume
        return
    if resume == "auto":
        found = find_resumable(cfg.work_dir)
        if found is None:
            print_log(f"no checkpoint to resume in {cfg.work_dir}: a new run starts", "current")
            cfg.resume = False
            return
    else:
        if not Path(resume).is_file():
            raise FileNotFoundError(f"resume: there is no checkpoint at {Path(resume).resolve()}")
        try:
            found = Path(resume), _load_training_checkpoint(Path(resume))
        except ValueError as error:
            raise ValueError(f"resume: cannot resume from {resume}: {error}") from error
    path, checkpoint = found
    cfg.resume = True
    cfg.load_from = str(path)
    if cfg.get("randomness", {}).get("seed") is None:
        cfg.merge_from_dict({"randomness.seed": checkpoint["meta"].get("seed")})


def _check_start(file: str | None) -> None:
    if file is not None and "://" not in file and not Path(file).is_file():
        raise FileNotFoundError(
            f"load_from={file!r}: there is no checkpoint at {Path(file).resolve()}; correct it, or "
            "set load_from=None to start from the initial weights."
        )


def find_resumable(work_dir: str | Path) -> tuple[Path, dict[str, Any]] | None:
    """Find the last checkpoint of a run that is whole.

    MMEngine writes checkpoints and its ``last_checkpoint`` file in place, so that a
    killed run can leave either of them cut short. Checkpoints that do not load are
    passed over with a message; the next older one is tried.

    Args:
        work_dir: The work directory of the run.

    Returns:
        Path and content of the checkpoint, or ``None`` where there is none.

    Raises:
        UnsafeCheckpointError: A checkpoint is whole but cannot be loaded as data. It is not
            passed over, or a new run would replace it.
    """
    for path in _candidates(Path(work_dir)):
        try:
            return path, _load_training_checkpoint(path)
        except ValueError as error:
            print_log(f"resume passes over {path}: {error}", "current", logging.WARNING)
    return None


def _candidates(work_dir: Path) -> Iterator[Path]:
    """Yield checkpoints, the one of ``last_checkpoint`` first, then from new to old.

    A run whose folder was moved or copied still records its old one, so that its own files come
    before what the record says. Where it has none, ``CheckpointHook.out_dir`` put them elsewhere.
    """
    record = work_dir / "last_checkpoint"
    recorded = record.read_text(errors="replace").strip("\0 \n") if record.is_file() else ""
    folder = work_dir
    if recorded and not _checkpoints(work_dir):
        folder = Path(recorded).parent
    last = folder / Path(recorded).name
    if recorded and last.is_file():
        yield last
    for path in _checkpoints(folder):
        if path.name != last.name:
            yield path


def _checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a folder from new to old; an exported student and the best are none."""
    files = [p for p in folder.glob("*.pth") if not p.name.startswith(("best_", "student"))]
    return sorted(files, key=lambda p: p.stat().st_mtime_ns, reverse=True)


def _load_training_checkpoint(path: Path) -> dict[str, Any]:
    checkpoint = load_checkpoint(path)
    # Loading notices a file that is cut short, but not one with holes.
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise ValueError(f"it is damaged, {broken} fails its checksum")
    missing = [key for key in ("meta", "message_hub", "optimizer") if key not in checkpoint]
    if missing:
        raise ValueError(
            f"it is no training checkpoint, it lacks {', '.join(missing)}; give one that "
            "a training wrote, or start a new one from its weights by load_from"
        )
    if found := first_non_finite(checkpoint.get("state_dict", {})):
        raise ValueError(f"the training had failed when it was written, its {found}")
    return checkpoint
