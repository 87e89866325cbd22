"""The distillations of a comparison: where each loss pulls the student that it has trained."""

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from mmengine.device import get_device
from mmengine.runner import Runner, set_random_seed
from mmengine.utils import track_iter_progress

from tbd.compat import load_checkpoint
from tbd.detectors import TeacherStudentDetector
from tbd.files import write_file
from tbd.registry import MODELS
from tbd.studies.comparison.finished import (
    FinishedTraining,
    check_names,
    checkpoint_in_place,
    finished_trainings,
)
from tbd.studies.comparison.report import Spread
from tbd.studies.gradients.directions import Direction, measure_directions
from tbd.visualization.markdown import markdown_table


def measure_gradients(
    folder: str | os.PathLike[str], names: Sequence[str] = (), batches: int = 8
) -> str:
    """Say where each loss pulls the students of a comparison, as they are after their training.

    Args:
        folder: Work directory of a comparison, see
            :func:`tbd.studies.comparison.compare_terms`.
        names: Names of configs, of all that are to be measured. Default: all distillations.
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
        print(f"[{number}/{len(chosen)}] {training.name}, seed {training.seed}:", flush=True)
        found[training.name, training.seed] = _measure(training, Path(folder), batches)
    table = format_gradients(found)
    target = Path(folder) / "gradients.md"
    write_file(target, table + "\n")
    print(f"\n{table}\n\nwrote {target}", flush=True)
    return table


def _measure(training: FinishedTraining, root: Path, batches: int) -> dict[str, Direction]:
    set_random_seed(training.seed)
    config = training.config
    if training.teacher is not None:
        config.model.teacher_ckpt = checkpoint_in_place(training.teacher[0], root)
    for term in config.model.get("distill", {}).values():
        # What a term pulls with its whole weight; where a schedule ends, it may be with none.
        if term is not None:
            term.pop("schedule", None)
    detector = MODELS.build(config.model)
    assert isinstance(detector, TeacherStudentDetector)
    detector.load_state_dict(load_checkpoint(training.checkpoint)["state_dict"])
    detector.to(get_device()).train()
    loader = Runner.build_dataloader(config.train_dataloader, seed=training.seed)
    number = min(batches, len(loader))
    return measure_directions(detector, track_iter_progress((islice(iter(loader), number), number)))


def format_gradients(found: dict[tuple[str, int], dict[str, Direction]]) -> str:
    """Make a table: a row for each loss of each config.

    Args:
        found: Name of the config and seed → what was measured, by the name of the loss.

    Returns:
        The size of each gradient, and its cosines with the parts of the student's own loss; mean
        and standard deviation over the seeds.
    """
    parts = dict.fromkeys(
        part for losses in found.values() for loss in losses.values() for part in loss.cosines
    )
    by_loss: dict[tuple[str, str], list[Direction]] = {}
    for (name, _), losses in found.items():
        for loss, direction in losses.items():
            by_loss.setdefault((name, loss), []).append(direction)
    rows = [["config", "loss", "size", *(f"along `{part}`" for part in parts)]]
    for (name, loss), directions in by_loss.items():
        cells = [f"`{name}`", f"`{loss}`", _spread([found.size for found in directions])]
        for part in parts:
            cells.append(_spread([d.cosines[part] for d in directions if part in d.cosines]))
        rows.append(cells)
    return markdown_table(rows)


def _spread(values: Sequence[float]) -> str:
    return Spread.of(values).text(".2f") if values else "–"
