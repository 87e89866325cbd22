"""What ``tbd gap`` measured of recorded runs: one line a run, and the table made of them."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tbd.files import write_file
from tbd.studies.gap import Exchange, finished_exchanges, format_gap
from tbd.studies.results.record import RunRecord, read_records

GAP_FOLDER = "gap"
"""Beside the files of records: the measurements of ``<set>.jsonl`` are in its ``<set>.jsonl``."""


@dataclass(frozen=True)
class GapRecord:
    """What was measured of one recorded run.

    Attributes:
        name: Name of the config that was trained.
        config_hash: That of the run's record.
        seed: Seed of the run.
        own: AP of the student in percent, as are the others; see
            :class:`~tbd.studies.gap.Exchange`.
        teachers_scores: With the teacher's scores.
        teachers_boxes: With the teacher's boxes.
        teacher: Of the teacher.
    """

    name: str
    config_hash: str
    seed: int
    own: float
    teachers_scores: float
    teachers_boxes: float
    teacher: float


def collect_gap(
    folders: Sequence[str | os.PathLike[str]], records: str | os.PathLike[str]
) -> tuple[int, list[str]]:
    """Record what ``tbd gap`` measured in work directories of comparisons.

    Args:
        folders: Work directories of comparisons, or of single runs of them.
        records: Their file of records, ``<set>.jsonl``; the measurements are appended to
            ``gap/<set>.jsonl`` beside it.

    Returns:
        How many measurements were added, and the runs that were measured and are not recorded,
        which are left out.

    Raises:
        FileNotFoundError: A folder holds no measurement.
        ValueError: A run was measured before with another result.
    """
    runs = {(record.name, record.seed): record for record in read_records(records)}
    target = _target(records)
    known = {(gap.name, gap.seed): gap for gap in read_gaps(target)}
    count, strange = len(known), []
    for folder in folders:
        measured = finished_exchanges(folder)
        if not measured:
            raise FileNotFoundError(f"{folder} holds no measurement: let tbd gap make them.")
        for (name, seed), exchange in measured.items():
            run = runs.get((name, seed))
            if run is None:
                strange.append(f"{name}, seed {seed}")
                continue
            gap = GapRecord(name, run.config_hash, seed, **_rounded(exchange))
            old = known.setdefault((name, seed), gap)
            if old != gap:
                raise ValueError(
                    f"{name}, seed {seed}, is recorded in {target} as {asdict(old)}, and was now "
                    f"found as {asdict(gap)}. Find out why they differ before recording either."
                )
    if len(known) > count:
        lines = [json.dumps(asdict(gap), ensure_ascii=False) for gap in known.values()]
        target.parent.mkdir(exist_ok=True)
        write_file(target, "\n".join(lines) + "\n")
    return len(known) - count, strange


def read_gaps(path: str | os.PathLike[str]) -> list[GapRecord]:
    """Read a file of measurements; none if the file does not exist.

    Raises:
        ValueError: A line is no measurement.
    """
    file = Path(path)
    if not file.is_file():
        return []
    names = {field.name for field in fields(GapRecord)}
    found = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        try:
            content: Any = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{file}, line {number}: not JSON, {error}.") from error
        if not isinstance(content, dict) or content.keys() != names:
            raise ValueError(f"{file}, line {number}: has {content}, not {sorted(names)}.")
        found.append(GapRecord(**content))
    return found


def format_gaps(records: Sequence[RunRecord], gaps: Sequence[GapRecord]) -> str:
    """Make the table of one data set.

    Args:
        records: All that is recorded of it.
        gaps: What was measured of these runs.

    Returns:
        Markdown, see :func:`~tbd.studies.gap.format_gap`.

    Raises:
        ValueError: A measurement belongs to no record.
    """
    if not gaps:
        return "No measurement yet."
    runs = {(record.name, record.config_hash, record.seed): record for record in records}
    for gap in gaps:
        if (gap.name, gap.config_hash, gap.seed) not in runs:
            raise ValueError(f"what was measured of {gap.name}, seed {gap.seed}, has no record.")
    plain = {record.name for record in records if record.teacher is None}
    found = {
        (gap.name, gap.seed): Exchange(
            gap.own, gap.teachers_scores, gap.teachers_boxes, gap.teacher
        )
        for gap in gaps
    }
    return format_gap(found, plain & {gap.name for gap in gaps})


def gaps_of(records: str | os.PathLike[str]) -> list[GapRecord]:
    """Read the measurements that belong to a file of records."""
    return read_gaps(_target(records))


def _target(records: str | os.PathLike[str]) -> Path:
    return Path(records).parent / GAP_FOLDER / Path(records).name


def _rounded(exchange: Exchange) -> dict[str, float]:
    return {name: round(value, 6) for name, value in asdict(exchange).items()}
