"""One line of ``docs/results/<set>.jsonl``: what a run was, what came out, and where it ran."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

from tbd.engine.config import config_name
from tbd.files import write_file
from tbd.studies.comparison.methods import variant_name

FIRST_CHOOSING_SEED = 100
"""Runs from this seed on choose settings; those below it make the tables. See docs/results.md."""

SEVERAL_COMMITS = "+"
"""Between the commits of a run that an interruption made go on by later code."""

_KINDS = {
    "config": (str, "a text"),
    "config_hash": (str, "a text"),
    "seed": (int, "a whole number"),
    "baseline": (str | None, "a text or null"),
    "teacher": (str | None, "a text or null"),
    "teacher_seed": (int | None, "a whole number or null"),
    "metrics": (dict, "an object of numbers"),
    "started": (str, "a text"),
    "wall_seconds": (int | float, "a number"),
    "versions": (dict, "an object"),
    "hardware": (str, "a text"),
    "terms": (str | None, "a text or null"),
}
"""Of each key of a record: its type, and that in words."""

_NO_OBJECTS = -1
"""COCO's AP where no object is of the size or class that it is asked of."""

_AP = re.compile(r"(mask_)?ap(?!_lost)")


@dataclass(frozen=True)
class RunRecord:
    """One finished training.

    Attributes:
        config: Config file, relative to the repository; where a comparison was given ``terms``,
            that of the pair.
        config_hash: Stands for all of the config but its seed and this machine's paths, with the
            models that it names and the teacher's run.
        seed: Seed of the random numbers.
        baseline: Name of the config that gains are counted from: of a distillation the plain
            student's, of a plain detector what it was recorded against; None without one.
        teacher: Name of the teacher's config, of a distillation; None for a plain detector.
        teacher_seed: Seed that the teacher was trained from.
        metrics: Name out of the glossary → value; what a run does not have, such as the AP of a
            size that no box has, is not there.
        started: Begin of the training, ISO 8601, in the machine's local time.
        wall_seconds: Time that training and its validations took, interruptions excluded.
        versions: Package → version, ``tbd`` → commit, or several joined by
            :data:`SEVERAL_COMMITS`, ``processor`` → its name.
        hardware: What it ran on.
        terms: Methods whose terms replace those of ``config``, joined by ``+``; None where the
            config is what was trained.
    """

    config: str
    config_hash: str
    seed: int
    baseline: str | None
    teacher: str | None
    teacher_seed: int | None
    metrics: dict[str, float]
    started: str
    wall_seconds: float
    versions: dict[str, str]
    hardware: str
    terms: str | None = None

    @property
    def name(self) -> str:
        """Name of the config that was trained."""
        stem = config_name(self.config)
        return stem if self.terms is None else variant_name(stem, self.terms)

    @property
    def commits(self) -> list[str]:
        """Commits that the run was trained by, mostly one; none where that is not known."""
        return [part for part in self.versions.get("tbd", "").split(SEVERAL_COMMITS) if part]

    @property
    def method(self) -> str:
        """What the name begins with: ``tbd-auto`` of ``tbd-auto_retinanet_bccd``."""
        if self.terms is None:
            return self.name.partition("_")[0]
        # Its options may hold a "_" themselves.
        return variant_name("", self.terms).removesuffix("_")

    @property
    def detector(self) -> str:
        """What the name goes on with: ``retinanet_bccd`` of that."""
        return self.name[len(self.method) + 1 :]

    @property
    def chooses(self) -> bool:
        """Whether the run's seed is one that settings are chosen with."""
        return self.seed >= FIRST_CHOOSING_SEED


def read_records(path: str | os.PathLike[str]) -> list[RunRecord]:
    """Read a file of records; none if the file does not exist.

    Raises:
        ValueError: A line is not a record, a value is of another type or not finite, two lines are
            of the same run, one name stands for two configs, or the seeds of a config have several
            baselines or teachers.
    """
    file = Path(path)
    if not file.is_file():
        return []
    records = []
    names = {field.name for field in fields(RunRecord)}
    needed = {field.name for field in fields(RunRecord) if field.default is MISSING}
    for number, line in enumerate(read_lines(file), 1):
        try:
            content = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{file}, line {number}: not JSON, {error}.") from error
        if not isinstance(content, dict) or not needed <= content.keys() <= names:
            found = sorted(content) if isinstance(content, dict) else content
            raise ValueError(f"{file}, line {number}: has {found}, a record has {sorted(names)}.")
        _check_values(content, f"{file}, line {number}")
        measured = {
            key: value
            for key, value in content["metrics"].items()
            if value != _NO_OBJECTS or not _AP.match(key)
        }
        records.append(RunRecord(**content | {"metrics": measured}))
    _check(records, str(file))
    return records


def read_lines(file: Path) -> list[str]:
    """Read the lines of a file of records.

    Raises:
        ValueError: It is no text.
    """
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text in UTF-8, {error}.") from error


def add_records(path: str | os.PathLike[str], found: Iterable[RunRecord]) -> int:
    """Append the runs that a file does not hold yet; what it holds never changes.

    Args:
        path: The file; made if it does not exist.
        found: Records of finished runs.

    Returns:
        How many were added.

    Raises:
        ValueError: A run is recorded already with another result. No result replaces another one:
            they are both part of the evidence, and why they differ is to be found out. What only
            one of them measured is no difference. Or it is recorded with another baseline or
            teacher, or see :func:`read_records`.
    """
    known = read_records(path)
    by_run = {(record.name, record.config_hash, record.seed): record for record in known}
    new = []
    for record in found:
        _check_values(asdict(record), f"{record.name}, seed {record.seed}")
        old = by_run.get((record.name, record.config_hash, record.seed))
        if old is None:
            new.append(record)
        elif _held_against(old) != _held_against(record):
            raise ValueError(
                f"{record.name}, seed {record.seed}, is recorded in {path} with "
                f"{_held_against(old)}, and was now found with {_held_against(record)}. Records do "
                "not change: collect it as it was, --baseline included."
            )
        elif different := _differences(old.metrics, record.metrics):
            before = ", ".join(f"{name}={old.metrics[name]}" for name in different)
            after = ", ".join(f"{name}={record.metrics[name]}" for name in different)
            raise ValueError(
                f"{record.config}, seed {record.seed}, is recorded in {path} with {before} at "
                f"commit {old.versions.get('tbd')}, and was now found with {after} at "
                f"{record.versions.get('tbd')}, from the same config. Find out why they differ "
                "before recording either."
            )
    _check([*known, *new], str(path))
    if new:
        lines = [_line(record) for record in (*known, *new)]
        write_file(path, "\n".join(lines) + "\n")
    return len(new)


def _differences(one: Mapping[str, float], other: Mapping[str, float]) -> list[str]:
    """Names of the metrics that both have, with other values."""
    return [name for name in one if name in other and one[name] != other[name]]


def _held_against(record: RunRecord) -> str:
    return f"baseline {record.baseline} and teacher {record.teacher}"


def _line(record: RunRecord) -> str:
    content = asdict(record)
    if record.terms is None:
        content.pop("terms")
    return json.dumps(content, ensure_ascii=False)


def _check_values(content: Mapping[str, Any], where: str) -> None:
    def refuse(key: str, value: Any, expected: str) -> NoReturn:
        raise ValueError(
            f"{where}: {key} is {value!r}, not {expected}. Find out where that comes from, correct "
            "it and collect the run again."
        )

    for key, value in content.items():
        kind, words = _KINDS[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            refuse(key, value, words)
    numbers = {f"metrics.{name}": value for name, value in content["metrics"].items()}
    for key, value in {"wall_seconds": content["wall_seconds"], **numbers}.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            refuse(key, value, "a finite number")


def _check(records: Sequence[RunRecord], where: str) -> None:
    first: dict[str, RunRecord] = {}
    seen = set()
    for record in records:
        other = first.setdefault(record.name, record)
        if other.config_hash != record.config_hash:
            raise ValueError(
                f"{where}: {record.name} stands for two configs, {other.config} of hash "
                f"{other.config_hash} and {record.config} of hash {record.config_hash}. Tables "
                "tell configs apart by name: give the changed one a name of its own."
            )
        if _held_against(other) != _held_against(record):
            raise ValueError(
                f"{where}: {record.name} has {_held_against(other)} in seed {other.seed}, and "
                f"{_held_against(record)} in seed {record.seed}. All seeds of a config are held "
                "against one: collect them with one --baseline."
            )
        if (record.name, record.seed) in seen:
            raise ValueError(f"{where}: {record.name}, seed {record.seed}, is there twice.")
        seen.add((record.name, record.seed))
