"""The runs of a comparison: what decides on their result, and what is kept of them."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from tbd.compat import load_checkpoint
from tbd.detectors import resolve_model_config
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine.config import config_name, load_config
from tbd.engine.config_options import parse_options
from tbd.files import write_file
from tbd.studies.comparison.data_digest import digest_of_annotations, digest_of_file

RUN_FILE = "run.json"
"""What is known of a run, in its folder."""

RUN_FORMAT = 2
"""Raised when a name in that file changes its meaning; older metrics are measured again."""

ORIGIN = "comparison"
"""Key of a config that a comparison wrote: which pair and which methods it was made from."""

TEACHER_DIGEST = "teacher_sha256"
"""Key in that file: :attr:`Run.teacher_digest` when the run was begun; older files lack it."""

COMMITS = "commits"
"""Key in that file: commits of the code that trained, see :func:`~.source.source_commit`."""

DATA_DIGEST = "train_annotations_sha256"
"""Key in that file: :attr:`Run.data_digest` when the run was begun; older files lack it."""

TEST_DIGEST = "test_annotations_sha256"
"""Key in that file: :attr:`Run.test_digest` when the run was measured; older files lack it."""

_ASIDE = ".replaced_"
_SEED, _TEACHER = "randomness.seed", "model.teacher_ckpt"


@dataclass(frozen=True)
class Run:
    """One training: a config and a seed.

    Args:
        config: Config file.
        seed: Seed of the random numbers.
        folder: Work directory of the run.
        options: ``--cfg-options`` as on the command line, ``key=value``.
        fingerprint: Stands for all that decides on the result: the config with the options
            merged, the models that it names, the seed, the teacher's own run.
        teacher_digest: SHA-256 of the file that the teacher is loaded from, or of the annotations
            that the run which wrote it was trained on; None where that is no local file.
        data_digest: SHA-256 of the annotations that the run is trained on; None likewise.
        test_digest: The same of those that it is tested on.
    """

    config: str
    seed: int
    folder: Path
    options: tuple[str, ...]
    fingerprint: str
    teacher_digest: str | None = None
    data_digest: str | None = None
    test_digest: str | None = None

    @property
    def name(self) -> str:
        """Name of the config."""
        return config_name(self.config)

    def load(self) -> Config:
        """Load the config with the options merged."""
        return load_config(self.config, parse_options(self.options), needs_model=True)

    def final_checkpoint(self) -> str:
        """Find the checkpoint that the training ended with.

        Raises:
            FileNotFoundError: The training wrote none.
        """
        pointer = self.folder / "last_checkpoint"
        if not pointer.is_file():
            raise FileNotFoundError(
                f"{self.folder} holds no checkpoint: set default_hooks.checkpoint in {self.config}."
            )
        # The folder may have been moved since the training wrote an absolute path.
        return str(self.folder / Path(pointer.read_text().strip()).name)

    def checkpoint_fault(self) -> str | None:
        """Say why that checkpoint cannot be read; None if it can."""
        try:
            load_checkpoint(self.final_checkpoint())
        except (OSError, RuntimeError, ValueError) as error:
            return str(error).rstrip(".")
        return None

    def is_described_by(self, state: Mapping[str, Any]) -> bool:
        """Whether what is known of the run's folder is of the same config, teacher and data.

        Args:
            state: See :func:`read_state`.
        """
        return (
            state.get("fingerprint") == self.fingerprint
            and _agree(state.get(TEACHER_DIGEST), self.teacher_digest)
            and _agree(state.get(DATA_DIGEST), self.data_digest)
        )

    def is_measured_by(self, state: Mapping[str, Any]) -> bool:
        """Whether what is known of the run's folder was measured on the test data of now.

        Args:
            state: See :func:`read_state`.
        """
        return _agree(state.get(TEST_DIGEST), self.test_digest)


def make_run(
    config: str, seed: int, root: Path, options: Sequence[str] = (), teacher: Run | None = None
) -> Run:
    """Plan one run.

    Args:
        config: Config file.
        seed: Its seed.
        root: Folder of the comparison.
        options: ``key=value`` options of all runs.
        teacher: Finished run whose final checkpoint teaches, if the config is a distillation.

    Returns:
        The run, not started.

    Raises:
        ValueError: An option sets what the comparison sets itself, or a teacher for a config that
            has none.
    """
    given = parse_options(options)
    if _SEED in given:
        raise ValueError(
            f"--cfg-options: {_SEED}={given[_SEED]}: each run has a seed of its own; leave it out, "
            "and name the seeds where the command takes them, by --seeds and --teacher-seed."
        )
    all_options = [*options, f"{_SEED}={seed}"]
    cfg = load_config(config, parse_options(all_options), needs_model=True)
    distills = cfg.model.type in WRAPPER_TYPES
    if _TEACHER in given and (teacher is not None or not distills):
        its = f"is taught by {teacher.name}" if teacher and distills else "has no teacher"
        raise ValueError(
            f"--cfg-options: {_TEACHER}={given[_TEACHER]}: options are those of all runs, and "
            f"{config} {its}; set it in the configs of the distillations."
        )
    content: dict[str, Any] = {"config": cfg.to_dict()}
    teacher_digest = None
    for key in ("work_dir", ORIGIN):
        content["config"].pop(key, None)
    if distills:
        # The config names its models by path; what the files say decides, not where they lie.
        for key in ("student", "teacher"):
            content["config"]["model"].pop(key)
        content["student"] = resolve_model_config(cfg.model).to_dict()
        if cfg.model.teacher is not None:
            content["teacher"] = resolve_model_config(
                cfg.model.teacher, cfg.model.get("teacher_options"), key="model.teacher"
            ).to_dict()
        if teacher is not None and cfg.model.teacher is not None:
            content["teacher run"] = teacher.fingerprint
            teacher_digest = teacher.data_digest
            checkpoint = teacher.final_checkpoint()
            # Without quotes a comma would make a list of it.
            value = f"'{checkpoint}'" if "," in checkpoint else checkpoint
            all_options.append(f"{_TEACHER}={value}")
        else:
            teacher_digest = digest_of_file(cfg.model.get("teacher_ckpt") or "")
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    folder = root / config_name(config) / f"seed_{seed}"
    return Run(
        config,
        seed,
        folder,
        tuple(all_options),
        digest[:16],
        teacher_digest,
        digest_of_annotations(cfg, "train"),
        digest_of_annotations(cfg, "test"),
    )


def _agree(one: str | None, other: str | None) -> bool:
    """Whether two digests are the same, as far as both are known."""
    return None in (one, other) or one == other


def read_state(folder: Path) -> dict[str, Any]:
    """Read what is known of the run in a folder; nothing of one that was not begun.

    Raises:
        ValueError: The file is damaged.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        return {}
    state = read_dict(path)
    if state is None:
        raise ValueError(
            f"{path} is damaged, so that nobody knows what the run in its folder was trained by. "
            f"Put a copy of the file back, or move {folder} away to train the run again."
        )
    return state


def read_dict(path: Path) -> dict[str, Any] | None:
    """Read a JSON file that holds a dict; None where it is missing, damaged or something else."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write down what is known of the run in a folder."""
    write_file(folder / RUN_FILE, json.dumps(state, indent=2) + "\n")


def find_runs(root: str | os.PathLike[str]) -> list[Path]:
    """List the folders of runs below a work directory, without those that were set aside."""
    folders = (file.parent for file in sorted(Path(root).glob(f"**/{RUN_FILE}")))
    return [folder for folder in folders if _ASIDE not in folder.name]


def set_aside(run: Run) -> Path:
    """Rename the folder of a run, which belongs to another state of it; return the new name."""
    number = 1
    while (aside := run.folder.with_name(f"{run.folder.name}{_ASIDE}{number}")).exists():
        number += 1
    run.folder.rename(aside)
    return aside


def take_back(run: Run) -> Path | None:
    """Put back what was set aside of a run, where it is of the run's own state.

    Args:
        run: The run, whose folder is not there.

    Returns:
        The name that it was kept by, the newest of several; None where there is none.
    """
    asides = run.folder.parent.glob(f"{run.folder.name}{_ASIDE}*")
    for aside in sorted(asides, key=lambda path: path.stat().st_mtime, reverse=True):
        state = read_dict(aside / RUN_FILE)
        if state is not None and run.is_described_by(state):
            aside.rename(run.folder)
            return aside
    return None
