"""From the work directories of finished runs to their records."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import mmdet
from mmengine.config import Config

from tbd.compat import configs_dir
from tbd.compat.packaged_configs import PREFIX
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine.config import config_name
from tbd.studies.comparison.config_hash import config_hash, teacher_run
from tbd.studies.comparison.runs import ORIGIN, RUN_FILE, RUN_FORMAT, find_runs, read_state
from tbd.studies.glossary import GLOSSARY, in_studies
from tbd.studies.results.record import RunRecord, add_records

_LOG_FOLDER = re.compile(r"\d{8}_\d{6}")
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
        source: Checkout of this repository that the runs were started from. It must not have
            changed since: its commit is recorded.
        hardware: What the runs ran on, in words.
        baseline: Name of the config that plain detectors are held against, as those are that
            differ in a loss; that of a distillation is its plain student in any case.

    Returns:
        How many records were added, and the folders of runs that are not finished.

    Raises:
        FileNotFoundError: A folder holds no run.
        ValueError: The checkout has changes that no commit holds, or see
            :func:`~tbd.studies.results.record.add_records`.
    """
    commit = _commit(Path(source))
    records, unfinished = [], []
    for folder in folders:
        runs = find_runs(folder)
        if not runs:
            raise FileNotFoundError(f"{folder} holds no run of a comparison: no {RUN_FILE} in it.")
        for run in runs:
            if read_state(run).get("metrics"):
                records.append(read_run(run, commit, hardware, baseline))
            else:
                unfinished.append(str(run))
    return add_records(target, records), unfinished


def read_run(folder: Path, commit: str, hardware: str, baseline: str | None = None) -> RunRecord:
    """Read the record of one finished run from its work directory.

    Args:
        folder: Work directory, with ``run.json``, the logs and the dumped config.
        commit: Of this repository, that the run was trained with.
        hardware: What it ran on.
        baseline: Name of the config that a plain detector is held against, unless it is that.

    Raises:
        ValueError: The run was measured under names of metrics that have changed since.
    """
    state = read_state(folder)
    if state.get("format") != RUN_FORMAT:
        raise ValueError(
            f"{folder} was measured by an older release, whose metrics had other names: run the "
            "comparison again, which measures it again without training."
        )
    logs = sorted(path for path in folder.iterdir() if _LOG_FOLDER.fullmatch(path.name))
    cfg = Config.fromfile(str(folder / Path(state["config"]).name))
    teacher = teacher_seed = None
    if baseline == config_name(state["config"]):
        baseline = None
    if cfg.model.type in WRAPPER_TYPES:
        baseline = _stem(cfg.model.student)
        teacher = None if cfg.model.teacher is None else _stem(cfg.model.teacher)
        teacher_seed = teacher_run(cfg).get("seed")
    origin = cfg.get(ORIGIN, {})
    return RunRecord(
        config=_in_repository(origin.get("pair", state["config"])),
        config_hash=config_hash(cfg),
        seed=state["seed"],
        baseline=baseline,
        teacher=teacher,
        teacher_seed=teacher_seed,
        metrics=_metrics(folder, state["metrics"]),
        started=_start(logs[0]).isoformat(),
        wall_seconds=sum(_seconds(log) for log in logs),
        versions={**_versions(logs[-1]), **state.get("versions", {}), "tbd": commit},
        hardware=hardware,
        terms=origin.get("terms"),
    )


def _in_repository(config: str) -> str:
    """Name a shipped config by its place in this repository."""
    if config.startswith(PREFIX):
        return f"configs/{config.removeprefix(PREFIX)}"
    path = Path(config)
    if path.is_absolute() and path.is_relative_to(configs_dir()):
        return f"configs/{path.relative_to(configs_dir()).as_posix()}"
    return config


def _stem(model: Any) -> str:
    return Path(model).stem if isinstance(model, str) else str(model["type"])


def _metrics(folder: Path, compared: Mapping[str, float | None]) -> dict[str, float]:
    """What the comparison keeps of a run, and all else of the glossary that its last test says."""
    tests = sorted(folder.glob("test/*/*.json"))
    tested = json.loads(tests[-1].read_text()) if tests else {}
    harmony = {
        name: tested[f"harmony/{name}"]
        for name in GLOSSARY
        if tested.get(f"harmony/{name}") is not None and name not in compared
    }
    values = {**compared, **in_studies(harmony)}
    # Percentages of COCO's three digits, which binary fractions carry with noise.
    return {name: round(value, 6) for name, value in values.items() if value is not None}


def _start(log: Path) -> datetime:
    return datetime.strptime(log.name, "%Y%m%d_%H%M%S")


def _seconds(log: Path) -> float:
    """Time from the name of a log's folder to its last line."""
    written = datetime.fromtimestamp((log / f"{log.name}.log").stat().st_mtime)
    return round((written - _start(log)).total_seconds(), 1)


def _versions(log: Path) -> dict[str, str]:
    """Versions that a training's log begins with, and MMDetection's, which it does not say."""
    head = (log / f"{log.name}.log").read_text()[:20000]
    versions = {"mmdet": str(mmdet.__version__)}
    for name, title in _LOGGED_VERSIONS.items():
        found = re.search(rf"^ *{title}: (\S+)", head, re.MULTILINE)
        if found:
            versions[name] = found.group(1)
    return dict(sorted(versions.items()))


def _commit(source: Path) -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(source), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    if changed:
        raise ValueError(
            f"{source} has changes that no commit holds, so that its runs cannot be repeated:\n"
            f"{changed}"
        )
    return git("rev-parse", "HEAD")
