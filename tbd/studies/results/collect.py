"""From the work directories of finished runs to their records."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import mmdet
from mmengine.config import Config

from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine.config import DATA_ROOT, config_name
from tbd.engine.config_options import parse_options
from tbd.studies.comparison.config_hash import config_hash, teacher_run
from tbd.studies.comparison.runs import (
    COMMITS,
    ORIGIN,
    RUN_FILE,
    RUN_FORMAT,
    find_runs,
    read_state,
)
from tbd.studies.comparison.source import CHANGED
from tbd.studies.glossary import GLOSSARY, in_studies
from tbd.studies.results.checkout import Checkout, read_checkout
from tbd.studies.results.record import SEVERAL_COMMITS, RunRecord, add_records, read_records

# What does not change a config beyond its place: all else, a record does not hold.
_OPTIONS_OF_PLACE = {DATA_ROOT, "model.teacher_ckpt", "randomness.seed"}

_LOG_FOLDER = re.compile(r"\d{8}_\d{6}")
_STAMP = re.compile(r"^(?:(\d{4})/)?(\d\d/\d\d \d\d:\d\d:\d\d) - ", re.MULTILINE)
_LOGGED_VERSIONS = {
    "python": "Python",
    "torch": "PyTorch",
    "torchvision": "TorchVision",
    "mmengine": "MMEngine",
}


def collect(
    folders: Sequence[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    source: str | os.PathLike[str],
    hardware: str,
    baseline: str | None = None,
) -> tuple[int, list[str]]:
    """Record the finished runs of comparisons.

    Args:
        folders: Work directories of comparisons, or of single runs of them.
        target: The file of records to append to.
        source: Checkout of this repository that holds their configs. Its commit is recorded of
            runs that did not write down their own, so that it must not have changed since they
            were started.
        hardware: What the runs ran on, in words.
        baseline: Name of the config that plain detectors are compared with, such as detectors that
            differ in a loss; that of a distillation is its plain student in any case.

    Returns:
        How many records were added, and the folders of runs that are not finished.

    Raises:
        FileNotFoundError: A folder holds no run, or a run has no log.
        ValueError: The checkout has changes that no commit holds, a config is in no commit or was
            changed by options, no run is named like ``baseline``, a run's files are damaged, or see
            :func:`~tbd.studies.results.record.add_records`.
    """
    checkout = read_checkout(source)
    records, unfinished = [], []
    for folder in folders:
        runs = find_runs(folder)
        if not runs:
            raise FileNotFoundError(f"{folder} holds no run of a comparison: no {RUN_FILE} in it.")
        for run in runs:
            if read_state(run).get("metrics"):
                records.append(read_run(run, checkout, hardware, baseline))
            else:
                unfinished.append(str(run))
    names = sorted({record.name for record in (*records, *read_records(target))})
    if baseline is not None and baseline not in names:
        raise ValueError(
            f"--baseline {baseline}: no run of that name is finished here or recorded in {target}; "
            f"there are {', '.join(names) or 'none'}."
        )
    return add_records(target, records), unfinished


def read_run(
    folder: Path, checkout: Checkout, hardware: str, baseline: str | None = None
) -> RunRecord:
    """Read the record of one finished run from its work directory.

    Args:
        folder: Work directory, with ``run.json``, the logs and the dumped config.
        checkout: Of this repository, that the run was trained with.
        hardware: What it ran on.
        baseline: Name of the config that a plain detector is compared with, unless it is that.

    Raises:
        FileNotFoundError: The run has no log.
        ValueError: The run was measured under names of metrics that have changed since, its config
            is in no commit or was changed by options, or one of its files is damaged.
    """
    state = read_state(folder)
    if state.get("format") != RUN_FORMAT:
        raise ValueError(
            f"{folder} was measured by an older release, whose metrics had other names: run the "
            "comparison again, which measures it again without training."
        )
    changed = parse_options(state.get("options", ())).keys() - _OPTIONS_OF_PLACE
    if changed:
        raise ValueError(
            f"{folder} was trained with --cfg-options {' '.join(sorted(changed))}, which its "
            "record, that names the config alone, would not say. Commit a config that sets them, "
            "and train that."
        )
    logs = _logs(folder)
    cfg = Config.fromfile(str(folder / Path(state["config"]).name))
    teacher = teacher_seed = None
    if baseline == config_name(state["config"]):
        baseline = None
    if cfg.model.type in WRAPPER_TYPES:
        baseline = _stem(cfg.model.student)
        teacher = None if cfg.model.teacher is None else _stem(cfg.model.teacher)
        _find_teacher_run(cfg, folder)
        teacher_seed = teacher_run(cfg).get("seed")
    origin = cfg.get(ORIGIN, {})
    return RunRecord(
        config=checkout.place_of(origin.get("pair", state["config"])),
        config_hash=state.get("config_hash") or config_hash(cfg),
        seed=state["seed"],
        baseline=baseline,
        teacher=teacher,
        teacher_seed=teacher_seed,
        metrics=_metrics(folder, state["metrics"]),
        started=_start(logs[0]).isoformat(),
        wall_seconds=sum(_seconds(log) for log in logs),
        versions={
            **_versions(logs[-1]),
            **state.get("versions", {}),
            "tbd": _commit(folder, state, checkout),
        },
        hardware=hardware,
        terms=origin.get("terms"),
    )


def _commit(folder: Path, state: Mapping[str, Any], checkout: Checkout) -> str:
    """The commit that a run was trained by, or several that it went on by."""
    commits = state.get(COMMITS) or [checkout.commit]
    for commit in commits:
        if commit.endswith(CHANGED):
            raise ValueError(
                f"{folder} was trained by code that no commit holds: {commit.removesuffix(CHANGED)}"
                " with changes, so that nobody could repeat it. Commit them, and train it again."
            )
    return SEVERAL_COMMITS.join(commits)


def _find_teacher_run(cfg: Config, folder: Path) -> None:
    """Point at the teacher beside the run where its recorded place, before a move, is gone."""
    if not cfg.model.get("teacher_ckpt") or teacher_run(cfg):
        return
    place = Path(*Path(cfg.model.teacher_ckpt).parts[-3:])
    beside = folder.resolve().parents[1] / place
    if read_state(beside.parent):
        cfg.model.teacher_ckpt = str(beside)


def _stem(model: Any) -> str:
    return Path(model).stem if isinstance(model, str) else str(model["type"])


def _metrics(folder: Path, compared: Mapping[str, float | None]) -> dict[str, float]:
    """What the comparison keeps of a run, and all else of the glossary that its last test says."""
    tests = sorted(folder.glob("test/*/*.json"))
    tested = _read_test(tests[-1]) if tests else {}
    harmony = {
        name: tested[f"harmony/{name}"]
        for name in GLOSSARY
        if tested.get(f"harmony/{name}") is not None and name not in compared
    }
    values = {**compared, **in_studies(harmony)}
    # Percentages of COCO's three digits, which binary fractions carry with noise.
    return {name: round(value, 6) for name, value in values.items() if value is not None}


def _read_test(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(
            f"{file} is no whole JSON file ({error}): remove its folder, so that an earlier test "
            "counts, or test the run again."
        ) from error
    return found


def _logs(folder: Path) -> list[Path]:
    """Logs of a training and of its resumptions, in their order."""
    starts = sorted(path.name for path in folder.iterdir() if _LOG_FOLDER.fullmatch(path.name))
    logs = [folder / start / f"{start}.log" for start in starts]
    missing = [str(log) for log in logs if not log.is_file()]
    if missing or not logs:
        raise FileNotFoundError(
            f"{', '.join(missing) or f'{folder}/<date>_<time>/<date>_<time>.log'} is not there. A "
            "record says when the training began and how long it took, which only its logs know: "
            "bring them back, or train the run again."
        )
    return logs


def _start(log: Path) -> datetime:
    return datetime.strptime(log.stem, "%Y%m%d_%H%M%S")


def _seconds(log: Path) -> float:
    """Time from the name of a log to its last time stamp, which copying does not change."""
    start = _start(log)
    stamps = _STAMP.findall(log.read_text())
    if not stamps:
        raise ValueError(f"{log}: no line begins with a time, such as '2026/01/05 10:00:00 - '.")
    year, time = stamps[-1]
    end = datetime.strptime(f"{year or start.year}/{time}", "%Y/%m/%d %H:%M:%S")
    if end < start and not year:
        end = end.replace(year=start.year + 1)
    return (end - start).total_seconds()


def _versions(log: Path) -> dict[str, str]:
    """Versions that a training's log begins with, and MMDetection's, which it does not say."""
    head = log.read_text()[:20000]
    versions = {"mmdet": str(mmdet.__version__)}
    for name, title in _LOGGED_VERSIONS.items():
        found = re.search(rf"^ *{title}: (\S+)", head, re.MULTILINE)
        if found:
            versions[name] = found.group(1)
    return dict(sorted(versions.items()))
