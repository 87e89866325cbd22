"""The distillations of a comparison: where each loss pulls the student that it has trained."""

import json
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mmengine.device import get_device
from mmengine.runner import Runner, set_random_seed
from mmengine.utils import track_iter_progress

from tbd.compat import load_checkpoint
from tbd.detectors import TeacherStudentDetector
from tbd.distill import FactorTransfer
from tbd.engine.config import trained_model
from tbd.files import write_file
from tbd.registry import MODELS
from tbd.studies.comparison.finished import (
    FinishedTraining,
    check_names,
    checkpoint_in_place,
    finished_trainings,
    measured_runs,
)
from tbd.studies.comparison.report import Spread
from tbd.studies.comparison.runs import read_state
from tbd.studies.gradients.directions import Direction, Directions, measure_directions
from tbd.visualization.markdown import markdown_table

DIRECTIONS_FILE = "directions.json"
"""What was measured of a run, in its folder."""


def measure_gradients(
    folder: str | os.PathLike[str], names: Sequence[str] = (), batches: int = 8
) -> str:
    """Say where each loss pulls the students of a comparison, as they are after their training.

    What is measured is kept in the folder of each run.

    Args:
        folder: Work directory of a comparison, see
            :func:`tbd.studies.comparison.compare_terms`.
        names: Names of the configs whose runs are measured. Default: all distillations.
        batches: Batches of the training's images to measure on; at most those of an epoch.

    Returns:
        The table, which is also written to ``gradients.md``.

    Raises:
        FileNotFoundError: The folder holds no finished run.
        ValueError: None of its runs is a distillation, or none has a name that was given.
    """
    trainings = [training for training in finished_trainings(folder) if training.distilled]
    if not trainings:
        raise ValueError(
            f"{folder} holds no finished distillation, whose losses could be compared; name the "
            "work directory of a comparison with one."
        )
    check_names(names, trainings, folder)
    chosen = [training for training in trainings if not names or training.name in names]
    found = {}
    for number, training in enumerate(chosen, start=1):
        said = f"[{number}/{len(chosen)}] {training.name}, seed {training.seed}"
        found[training.name, training.seed] = _finish(training, Path(folder), batches, said)
    table = format_gradients(found)
    target = Path(folder) / "gradients.md"
    write_file(target, table + "\n")
    print(f"\n{table}\n\nwrote {target}", flush=True)
    return table


def finished_directions(folder: str | os.PathLike[str]) -> dict[tuple[str, int], Directions]:
    """Read what was measured of the runs of a comparison.

    Args:
        folder: Work directory of a comparison, or of a single run of it.

    Returns:
        Name of the config and seed → what was measured; without runs that were trained again since.
    """
    return measured_runs(folder, _read)


def _read(folder: Path, state: Mapping[str, Any]) -> Directions | None:
    """Read what was measured of a run; None of a file of no use."""
    try:
        content = json.loads((folder / DIRECTIONS_FILE).read_text())
        if content["fingerprint"] != state.get("fingerprint"):
            return None
        return Directions.from_dict(content)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _finish(training: FinishedTraining, root: Path, batches: int, said: str) -> Directions:
    loader = Runner.build_dataloader(training.config.train_dataloader, seed=training.seed)
    number = min(batches, len(loader))
    kept = _read(training.folder, read_state(training.folder))
    if kept is not None and kept.batches == number:
        print(f"{said}: measured before", flush=True)
        return kept
    print(f"{said}:", flush=True)
    set_random_seed(training.seed)
    detector = _build(training, root)
    directions = measure_directions(
        detector, track_iter_progress((islice(iter(loader), number), number))
    )
    content = {"fingerprint": training.fingerprint, **directions.to_dict()}
    write_file(training.folder / DIRECTIONS_FILE, json.dumps(content, indent=2) + "\n")
    return directions


def _build(training: FinishedTraining, root: Path) -> TeacherStudentDetector:
    model = trained_model(training.config)
    if training.teacher is not None:
        model.teacher_ckpt = checkpoint_in_place(training.teacher[0], root)
    for term in model.get("distill", {}).values():
        # What a term pulls with its whole weight; where a schedule ends, it may be with none.
        if term is not None:
            term.pop("schedule", None)
    detector = MODELS.build(model)
    assert isinstance(detector, TeacherStudentDetector)
    detector.load_state_dict(load_checkpoint(training.checkpoint)["state_dict"])
    for term in detector.terms.values():
        # Its hook, which tells it to transfer, follows a training.
        if isinstance(term, FactorTransfer) and not term.fixed:
            term.set_phase(paraphrasing=False)
    return detector.to(get_device()).train()


def format_gradients(found: dict[tuple[str, int], Directions]) -> str:
    """Make a table: the parts of the student's own loss, then the losses of each config.

    Args:
        found: Name of the config and seed → what was measured.

    Returns:
        The size of each gradient, and its cosines with the parts of the student's own loss; mean
        and standard deviation over the runs.
    """
    parts: dict[str, None] = {}
    by_loss: dict[tuple[str, str], list[Direction]] = {}
    for (name, _), directions in found.items():
        for loss, direction in directions.losses.items():
            parts |= dict.fromkeys(direction.cosines)
            # Of the student's own loss one row says all: what differs is which term taught it.
            shown = f"`{name}`" if "." in loss else "the student's own, in all"
            by_loss.setdefault((shown, loss), []).append(direction)
    rows = [["config", "loss", "runs", "size", *(f"along `{part}`" for part in parts)]]
    for (name, loss), same in sorted(by_loss.items(), key=lambda item: "." in item[0][1]):
        cells = [name, f"`{loss}`", str(len(same)), _spread([d.size for d in same])]
        for part in parts:
            cosines = [d.cosines[part] for d in same if part in d.cosines]
            cells.append("1" if part == loss else _spread(cosines))
        rows.append(cells)
    return markdown_table(rows)


def _spread(values: Sequence[float]) -> str:
    return Spread.of(values).text(".2f") if values else "–"
