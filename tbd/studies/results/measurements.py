"""What a study measured of recorded runs: one line a run, and the table that is made of them."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from tbd.files import write_file
from tbd.studies.gap import Exchange, finished_exchanges, format_gap
from tbd.studies.gradients import Directions, finished_directions, format_gradients
from tbd.studies.results.record import RunRecord, read_lines, read_records

T = TypeVar("T")


@dataclass(frozen=True)
class Study(Generic[T]):
    """A study that looks at finished runs again, and what is kept of it.

    Attributes:
        command: What measures.
        finished: From the work directory of a comparison, name of the config and seed → what was
            measured.
        dump: That as plain data, rounded.
        load: Back from plain data; raises a ``TypeError`` or ``KeyError`` where it is none.
        table: From the same and the names of the plain students to a table.
    """

    command: str
    finished: Callable[[str | os.PathLike[str]], dict[tuple[str, int], T]]
    dump: Callable[[T], dict[str, Any]]
    load: Callable[[dict[str, Any]], T]
    table: Callable[[dict[tuple[str, int], T], set[str]], str]


GAP: Study[Exchange] = Study(
    "tbd gap",
    finished_exchanges,
    lambda exchange: {name: round(value, 6) for name, value in asdict(exchange).items()},
    lambda values: Exchange(**values),
    format_gap,
)

GRADIENTS: Study[Directions] = Study(
    "tbd gradients",
    finished_directions,
    lambda directions: directions.rounded(4).to_dict(),
    Directions.from_dict,
    lambda found, plain: format_gradients(found),
)

STUDIES: dict[str, Study[Any]] = {"gap": GAP, "gradients": GRADIENTS}
"""By name; what was measured of ``<set>.jsonl`` is in ``<name>/<set>.jsonl`` beside it."""


@dataclass(frozen=True)
class Measurement:
    """What a study measured of one recorded run.

    Attributes:
        name: Name of the config that was trained.
        config_hash: That of the run's record.
        seed: Seed of the run.
        values: The rest, as :attr:`Study.dump` gives it.
    """

    name: str
    config_hash: str
    seed: int
    values: dict[str, Any]

    def line(self) -> str:
        """As a line of the file."""
        run = dict(name=self.name, config_hash=self.config_hash, seed=self.seed)
        return json.dumps(run | self.values, ensure_ascii=False)


def collect_measurements(
    study: str, folders: Sequence[str | os.PathLike[str]], records: str | os.PathLike[str]
) -> tuple[int, list[str]]:
    """Record what a study measured in work directories of comparisons.

    Args:
        study: Its name in :data:`STUDIES`.
        folders: Work directories of comparisons, or of single runs of them.
        records: Their file of records, ``<set>.jsonl``; the measurements are appended to
            ``<study>/<set>.jsonl`` beside it.

    Returns:
        How many measurements were added, and the runs that were measured and are not recorded,
        which are left out.

    Raises:
        FileNotFoundError: A folder holds no measurement.
        ValueError: A run was measured before with another result.
    """
    runs = {(record.name, record.seed): record for record in read_records(records)}
    target = _target(study, records)
    known = {(found.name, found.seed): found for found in _read(study, target)}
    count, strange = len(known), []
    for folder in folders:
        measured = STUDIES[study].finished(folder)
        if not measured:
            raise FileNotFoundError(
                f"{folder} holds no measurement: let {STUDIES[study].command} make them."
            )
        for (name, seed), result in measured.items():
            run = runs.get((name, seed))
            if run is None:
                strange.append(f"{name}, seed {seed}")
                continue
            found = Measurement(name, run.config_hash, seed, STUDIES[study].dump(result))
            old = known.setdefault((name, seed), found)
            if old != found:
                raise ValueError(
                    f"{name}, seed {seed}, is recorded in {target} as {old.line()}, and was now "
                    f"found as {found.line()}. Find out why they differ before recording either."
                )
    if len(known) > count:
        target.parent.mkdir(exist_ok=True)
        write_file(target, "\n".join(found.line() for found in known.values()) + "\n")
    return len(known) - count, strange


def read_measurements(study: str, records: str | os.PathLike[str]) -> list[Measurement]:
    """Read what a study measured of the runs in a file of records; nothing if it never did.

    Raises:
        ValueError: A line is no measurement.
    """
    return _read(study, _target(study, records))


def format_measurements(
    study: str, records: Sequence[RunRecord], measurements: Sequence[Measurement]
) -> str:
    """Make the study's table of one data set.

    Args:
        study: Its name in :data:`STUDIES`.
        records: All that is recorded of the set.
        measurements: What was measured of these runs.

    Returns:
        Markdown.

    Raises:
        ValueError: A measurement belongs to no record.
    """
    if not measurements:
        return "No measurement yet."
    runs = {(record.name, record.config_hash, record.seed): record for record in records}
    for found in measurements:
        if (found.name, found.config_hash, found.seed) not in runs:
            raise ValueError(
                f"what was measured of {found.name}, seed {found.seed}, has no record."
            )
    plain = {record.name for record in records if record.teacher is None}
    results = {
        (found.name, found.seed): STUDIES[study].load(found.values) for found in measurements
    }
    return STUDIES[study].table(results, plain & {found.name for found in measurements})


def _read(study: str, file: Path) -> list[Measurement]:
    if not file.is_file():
        return []
    found = []
    for number, line in enumerate(read_lines(file), 1):
        try:
            content = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{file}, line {number}: not JSON, {error}.") from error
        try:
            values = dict(content)
            name, config_hash, seed = (values.pop(key) for key in ("name", "config_hash", "seed"))
            STUDIES[study].load(values)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{file}, line {number}: has {content}, which is nothing that "
                f"{STUDIES[study].command} measures ({error})."
            ) from error
        found.append(Measurement(name, config_hash, seed, values))
    return found


def _target(study: str, records: str | os.PathLike[str]) -> Path:
    return Path(records).parent / study / Path(records).name
