"""The runs of a comparison, each with its teacher's scores and with its teacher's boxes."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmengine.device import get_device
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress

from tbd.compat import load_checkpoint
from tbd.detectors import build_detector
from tbd.detectors.weights import load_strictly
from tbd.engine.config import student_model
from tbd.files import write_file
from tbd.studies.comparison.finished import (
    FinishedTraining,
    check_names,
    checkpoint_in_place,
    checkpoint_origin,
    finished_trainings,
    measured_runs,
)
from tbd.studies.comparison.report import Spread
from tbd.studies.comparison.runs import TEST_DIGEST, read_state
from tbd.studies.gap.exchange import Exchange, measure_exchange
from tbd.studies.statistics import mean_interval, paired_differences
from tbd.visualization.markdown import markdown_table

GAP_FILE = "gap.json"
"""What was measured of a run, in its folder."""

# Raised when what is in that file changes its meaning.
_FORMAT = 2


def measure_gap(folder: str | os.PathLike[str], names: Sequence[str] = ()) -> str:
    """Say what of a teacher's lead on its students lies in the scores, and what in the boxes.

    Every finished run of a comparison is evaluated again on its test data, with the scores that
    the teacher gives at the same priors in place of its own, and with the teacher's boxes. What
    is measured is kept in the run's folder.

    Args:
        folder: Work directory of a comparison of one-stage detectors, see
            :func:`tbd.studies.comparison.compare_terms`.
        names: Names of the configs whose runs are measured; the table also shows those that were
            measured before. Default: all.

    Returns:
        The table, which is also written to ``gap.md``.

    Raises:
        FileNotFoundError: The folder holds no finished run.
        ValueError: There is no teacher in it, or more than one, or predictions cannot be exchanged.
    """
    root = Path(folder)
    students = finished_trainings(root)
    taught = [found for student in students if (found := student.teacher)]
    teachers = {checkpoint_in_place(source, root): config for source, config in taught}
    if len(teachers) != 1:
        listed = f": {', '.join(teachers)}" if teachers else ""
        raise ValueError(
            f"{folder} holds distillations by {len(teachers)} teachers{listed}; the gap is that to "
            "one. Name the work directory of a comparison with one teacher."
        )
    ((source, teacher_config),) = teachers.items()
    students = [s for s in students if Path(s.checkpoint).resolve() != Path(source).resolve()]
    check_names(names, students, folder)
    teacher = build_detector(teacher_config)
    load_strictly(teacher, load_checkpoint(source), f"the teacher's {source}")
    teacher.to(get_device()).eval()
    chosen = [student for student in students if not names or student.name in names]
    measured = {}
    for student in students:
        if student not in chosen and (kept := _read_kept(student, source)):
            measured[student.name, student.seed] = kept
    for number, student in enumerate(chosen, start=1):
        said = f"[{number}/{len(chosen)}] {student.name}, seed {student.seed}"
        measured[student.name, student.seed] = _finish(student, source, teacher, said)
    table = format_gap(
        measured,
        plain={s.name for s in students if s.teacher is None and (s.name, s.seed) in measured},
    )
    write_file(root / "gap.md", table + "\n")
    print(f"\n{table}\n\nwrote {root / 'gap.md'}", flush=True)
    return table


def finished_exchanges(folder: str | os.PathLike[str]) -> dict[tuple[str, int], Exchange]:
    """Read what was measured of the runs of a comparison.

    Args:
        folder: Work directory of a comparison, or of a single run of it.

    Returns:
        Name of the config and seed → what was measured. A run that was trained again since, or
        tested on other annotations, or was measured by an older release, is not among them.
    """
    return {run: exchange for run, (_, exchange) in measured_runs(folder, _read).items()}


def _read(folder: Path, state: Mapping[str, Any]) -> tuple[str, Exchange] | None:
    """Read of which teacher a run was measured, and what; None of a file of no use."""
    try:
        content = json.loads((folder / GAP_FILE).read_text())
        if content["format"] != _FORMAT or any(
            content.get(key) != state.get(key) for key in ("fingerprint", TEST_DIGEST)
        ):
            return None
        return content["teacher"], Exchange(**content["exchange"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_kept(student: FinishedTraining, source: str) -> Exchange | None:
    kept = _read(student.folder, read_state(student.folder))
    return kept[1] if kept and checkpoint_origin(kept[0]) == checkpoint_origin(source) else None


def _finish(student: FinishedTraining, source: str, teacher: Any, said: str) -> Exchange:
    kept = _read_kept(student, source)
    if kept is not None:
        print(f"{said}: measured before", flush=True)
        return kept
    print(f"{said}:", flush=True)
    model = build_detector(student_model(student.config))
    load_strictly(model, load_checkpoint(student.checkpoint), student.checkpoint)
    loader_config = student.config.test_dataloader.copy()
    # In order, every image once.
    loader_config.sampler = dict(type="DefaultSampler", shuffle=False, round_up=False)
    loader = Runner.build_dataloader(loader_config, seed=0)
    exchange = measure_exchange(
        model.to(get_device()).eval(),
        teacher,
        loader,
        lambda it: track_iter_progress((it, len(it))),
    )
    content = {
        "format": _FORMAT,
        "fingerprint": student.fingerprint,
        TEST_DIGEST: read_state(student.folder).get(TEST_DIGEST),
        "teacher": source,
        "exchange": asdict(exchange),
    }
    write_file(student.folder / GAP_FILE, json.dumps(content, indent=2) + "\n")
    return exchange


def format_gap(found: dict[tuple[str, int], Exchange], plain: set[str]) -> str:
    """Make a table: the teacher, plain students, and the others.

    Args:
        found: Name of the config and seed → what was measured; of several seeds, one row.
        plain: Names of the configs of plain students; where there is just one, the others are
            compared to it, seed by seed.

    Returns:
        Mean and standard deviation over the seeds of each AP; the gain of the boxes, under the
        teacher's scores, and that of the scores, over the teacher's boxes, with their 95 %
        intervals.
    """
    by_name: dict[str, dict[int, Exchange]] = {}
    for (name, seed), exchange in found.items():
        by_name.setdefault(name, {})[seed] = exchange
    head = ["config", "seeds", "AP", "with the teacher's scores", "with the teacher's boxes"]
    rows = [[*head, "gain of the boxes [95 %]", "gain of the scores [95 %]"]]
    teacher = Spread.of(sorted({exchange.teacher for exchange in found.values()}))
    rows.append(["teacher", "–", teacher.text(".1f"), "–", "–", "–", "–"])
    baseline = by_name[next(iter(plain))] if len(plain) == 1 else {}
    for name in sorted(by_name, key=lambda name: name not in plain):
        runs = by_name[name]
        cells = [f"`{name}`", str(len(runs))]
        for part in ("own", "teachers_scores", "teachers_boxes"):
            values = [getattr(exchange, part) for exchange in runs.values()]
            cells.append(Spread.of(values).text(".1f"))
        for part in ("teachers_scores", "teachers_boxes"):
            sides = ({s: getattr(e, part) for s, e in side.items()} for side in (runs, baseline))
            gains = paired_differences(*sides)
            shown = mean_interval(list(gains.values())).text("+.1f") if gains else "–"
            cells.append("–" if name in plain else shown)
        rows.append(cells)
    return markdown_table(rows)
