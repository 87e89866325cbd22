"""The losses that trainings logged, term by term."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from tbd.files import replacing
from tbd.studies.comparison.runs import Run
from tbd.studies.comparison.scalars import read_scalars
from tbd.visualization.training_curves import Curve, draw_training_curves

STUDENT = "student's own"

# How cascades and decoders name the losses of their stages and layers.
_STAGE = re.compile(r"[ds]\d+")


def draw_losses(runs: Sequence[Run], path: Path) -> bool:
    """Draw the losses of several runs.

    Args:
        runs: Finished runs.
        path: PNG file to write.

    Returns:
        Whether any of them logged a loss; otherwise nothing is written.
    """
    panels = {run.name: curves for run in runs if (curves := read_losses(run.folder))}
    if panels:
        figure = draw_training_curves(panels)
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png")
    return bool(panels)


def read_losses(folder: Path) -> dict[str, Curve]:
    """Read the losses of a run: the sum of the student's own, and that of each term.

    Args:
        folder: Of the run; what an interrupted and resumed run logged is joined.

    Returns:
        Name of the term, or :data:`STUDENT` → iterations and values, positive ones only.
    """
    sums: dict[str, dict[int, float]] = {}
    for record in read_scalars(folder):
        if "loss" not in record:
            continue
        step = int(record["step"])
        of_step: dict[str, float] = {}
        for key, value in record.items():
            owner, dot, name = key.rpartition(".")
            if key != "loss" and "loss" in name:
                group = owner if dot and not _STAGE.fullmatch(owner) else STUDENT
                of_step[group] = of_step.get(group, 0.0) + float(value)
        for group, value in of_step.items():
            if math.isfinite(value) and value > 0:
                sums.setdefault(group, {})[step] = value
    return {
        group: (list(values), list(values.values()))
        for group, values in ((g, dict(sorted(v.items()))) for g, v in sums.items())
    }
