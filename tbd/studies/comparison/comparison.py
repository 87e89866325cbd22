"""Training of several configs from several seeds, and the table that compares them."""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tbd.engine.config import config_name
from tbd.studies.comparison.measurement import measure, time_inference
from tbd.studies.comparison.pictures import draw_runs
from tbd.studies.comparison.report import RunResult, write_report
from tbd.studies.comparison.runs import (
    RUN_FILE,
    RUN_FORMAT,
    Run,
    make_run,
    read_state,
    set_aside,
    write_state,
)


def compare(
    configs: Sequence[str],
    seeds: Sequence[int],
    work_dir: str,
    *,
    teacher: str | None = None,
    teacher_seed: int = 0,
    baseline: str | None = None,
    options: Sequence[str] = (),
    num_pictures: int = 4,
) -> str:
    """Train every config from every seed, one after another, evaluate, and compare.

    What is finished is kept: a run is trained again only when its config, its options or its
    teacher changed, and an interrupted one goes on from its last checkpoint.

    Writes ``comparison.json``, ``.csv``, ``.md`` and ``.png`` to the work directory, and each run
    to ``<work_dir>/<name of the config>/seed_<seed>``.

    Args:
        configs: Config files of distillations or plain detectors, no two of the same name.
        seeds: Seeds to train each of them from.
        work_dir: Folder for everything.
        teacher: Config that is trained once and whose checkpoint becomes ``model.teacher_ckpt``
            of every distillation.
        teacher_seed: The seed of the teacher.
        baseline: One of ``configs``, to which the others' AP is compared seed by seed.
        options: ``--cfg-options`` for all runs, ``key=value``.
        num_pictures: Images in ``comparison.png``; with 0 it is not written.

    Returns:
        The table.

    Raises:
        ValueError: The arguments contradict one another, or nothing is to be done.
        RuntimeError: A training failed.
    """
    _check_arguments(configs, seeds, teacher, baseline)
    root = Path(work_dir)
    total = len(configs) * len(seeds) + (teacher is not None)
    metrics: dict[Run, dict[str, float | None]] = {}

    def finish(run: Run) -> None:
        print(f"\n== run {len(metrics) + 1} of {total}: {run.name}, seed {run.seed} ==", flush=True)
        metrics[run] = finish_run(run)

    teacher_run = None
    if teacher is not None:
        teacher_run = make_run(teacher, teacher_seed, root, options)
        finish(teacher_run)
    # Seed by seed, so that every config has a result after the first round.
    for seed in seeds:
        for config in configs:
            finish(make_run(config, seed, root, options, teacher_run))

    # Seeds do not change the speed: one run of each config is timed.
    first = [run for run in metrics if run is teacher_run or run.seed == seeds[0]]
    for run, milliseconds in time_inference(first).items():
        metrics[run]["milliseconds"] = milliseconds
    results = [RunResult(run.name, run.seed, values) for run, values in metrics.items()]
    table = write_report(root, results, baseline and config_name(baseline), _machine())
    written = ["comparison.md", "comparison.csv", "comparison.json"]
    if num_pictures:
        students = [run for run in first if run is not teacher_run]
        draw_runs(students, root / "comparison.png", num_pictures)
        written.append("comparison.png")
    print(f"\n{table}\n", flush=True)
    for name in written:
        print(f"wrote {root / name}", flush=True)
    return table


def finish_run(run: Run) -> dict[str, float | None]:
    """Train, evaluate and measure a run, as far as that has not been done yet.

    Args:
        run: The run.

    Returns:
        Its metrics, see :data:`tbd.studies.comparison.report.METRICS`.

    Raises:
        RuntimeError: The training failed.
    """
    state = read_state(run.folder)
    if run.folder.exists() and state.get("fingerprint") != run.fingerprint:
        print(
            f"{run.folder} belongs to another state of {run.config}, its options or its teacher: "
            f"moved to {set_aside(run)}, training again.",
            flush=True,
        )
        state = {}
    if state.get("metrics") and state.get("format") == RUN_FORMAT:
        print(f"finished before, see {run.folder / RUN_FILE}", flush=True)
        return dict(state["metrics"])

    trained = bool(state.get("metrics"))
    state = {
        "format": RUN_FORMAT,
        "config": run.config,
        "seed": run.seed,
        "fingerprint": run.fingerprint,
    }
    if trained:
        print("trained before; its metrics had other names, so it is measured again", flush=True)
    else:
        write_state(run.folder, state)
        _train(run)
    metrics = measure(run)
    write_state(run.folder, {**state, "metrics": metrics})
    return metrics


def _check_arguments(
    configs: Sequence[str], seeds: Sequence[int], teacher: str | None, baseline: str | None
) -> None:
    if not configs or not seeds:
        raise ValueError(f"nothing to compare: configs {list(configs)}, seeds {list(seeds)}.")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds: a seed is named twice in {list(seeds)}.")
    names = [config_name(config) for config in (*configs, *([teacher] if teacher else []))]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(
            f"two configs (the teacher's included) are named {', '.join(sorted(twice))}; runs are "
            "told apart by the names of the config files: rename one."
        )
    if baseline is not None and config_name(baseline) not in [config_name(c) for c in configs]:
        raise ValueError(
            f"--baseline {baseline} is not among the compared configs {list(configs)}."
        )


def _train(run: Run) -> None:
    command = [sys.executable, "-m", "tbd", "train", run.config, "--resume"]
    command += ["--work-dir", str(run.folder), "--cfg-options", *run.options]
    status = _execute(command)
    if status:
        raise RuntimeError(
            f"the training of {run.name}, seed {run.seed}, ended with exit status {status}; its "
            f"output is above, its files are in {run.folder}. The same command goes on from the "
            "last checkpoint."
        )


def _execute(command: Sequence[str]) -> int:
    """Run a command whose output shows as it comes; return its exit status."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.run(command, env=environment, check=False).returncode


def _machine() -> dict[str, Any]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return {
        "device": device,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
