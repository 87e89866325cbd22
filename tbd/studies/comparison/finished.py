"""The trainings of a comparison that are done, for studies that look at their detectors again."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mmengine.config import Config

from tbd.detectors import resolve_model_config
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine.config import config_name, load_config
from tbd.studies.comparison.runs import RUN_FILE, Run, find_runs, read_state

T = TypeVar("T")


@dataclass(frozen=True)
class FinishedTraining:
    """A detector that was trained: a plain one, or one that was distilled.

    Attributes:
        name: Name of its config.
        seed: Its seed.
        folder: Its work directory.
        config: The config that was trained.
        checkpoint: The last one.
        fingerprint: Stands for all that decided on the result.
    """

    name: str
    seed: int
    folder: Path
    config: Config
    checkpoint: str
    fingerprint: str

    @property
    def distilled(self) -> bool:
        """Whether it was trained by terms of distillation."""
        return self.config.model.type in WRAPPER_TYPES

    @property
    def teacher(self) -> tuple[str, Config] | None:
        """Checkpoint and model config of its teacher; None of a detector without one."""
        model = self.config.model
        if not self.distilled or model.get("teacher") is None:
            return None
        options = model.get("teacher_options")
        return model.teacher_ckpt, resolve_model_config(model.teacher, options, key="model.teacher")


def finished_trainings(root: str | os.PathLike[str]) -> list[FinishedTraining]:
    """Find the finished trainings in the work directory of a comparison.

    Raises:
        FileNotFoundError: There is none.
    """
    found = []
    for folder in find_runs(root):
        state = read_state(folder)
        if not state.get("metrics"):
            continue
        config, seed = state["config"], int(state["seed"])
        run = Run(config, seed, folder, (), state["fingerprint"])
        found.append(
            FinishedTraining(
                config_name(config),
                seed,
                folder,
                load_config(str(folder / Path(config).name)),
                run.final_checkpoint(),
                state["fingerprint"],
            )
        )
    if not found:
        raise FileNotFoundError(
            f"{root} holds no finished run of a comparison ({RUN_FILE}); let tbd compare "
            "finish one."
        )
    return found


def measured_runs(
    folder: str | os.PathLike[str], read: Callable[[Path, Mapping[str, Any]], T | None]
) -> dict[tuple[str, int], T]:
    """Collect what a study keeps in the folders of runs.

    Args:
        folder: Work directory of a comparison, or of a single run of it.
        read: From the folder of a run and what is known of it, see
            :func:`~tbd.studies.comparison.runs.read_state`, to what was measured of it; None where
            nothing was, or something of another state of the run.

    Returns:
        Name of the config and seed → what was measured.
    """
    found = {}
    for run_folder in find_runs(folder):
        state = read_state(run_folder)
        kept = read(run_folder, state)
        if kept is not None:
            found[config_name(state["config"]), int(state["seed"])] = kept
    return found


def check_names(
    names: Sequence[str], trainings: Sequence[FinishedTraining], root: str | os.PathLike[str]
) -> None:
    """Refuse names of configs that no training has.

    Raises:
        ValueError: There are such names.
    """
    there = list(dict.fromkeys(training.name for training in trainings))
    if unknown := set(names) - set(there):
        raise ValueError(
            f"{root} holds no finished run of {', '.join(sorted(unknown))}; it has "
            f"{', '.join(there)}."
        )


def checkpoint_in_place(source: str, root: str | os.PathLike[str]) -> str:
    """A teacher's checkpoint in its comparison's folder, which may have been moved since."""
    moved = Path(root, *checkpoint_origin(source))
    return str(moved) if moved.is_file() else source


def checkpoint_origin(source: str) -> tuple[str, ...]:
    """Name of the config, seed and name of a checkpoint of a comparison, wherever it lies."""
    return Path(source).parts[-3:]
