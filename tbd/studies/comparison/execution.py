"""Runs carried out in processes of their own, several at a time, and stopped together."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import torch

from tbd.engine.resume import find_resumable
from tbd.engine.work_folder import lock_file, only_training_in
from tbd.interruption import termination_as_interrupt
from tbd.studies.comparison.gradient_table import GRADIENT_FILE
from tbd.studies.comparison.progress import Progress, Stage, duration, read_progress
from tbd.studies.comparison.runs import (
    COMMITS,
    DATA_DIGEST,
    RUN_FORMAT,
    TEACHER_DIGEST,
    Run,
    read_state,
    set_aside,
    take_back,
    write_state,
)
from tbd.studies.comparison.source import source_commit

LOG_FILE = "output.log"
"""All that training and evaluation of a run print, in its folder."""

PROGRESS_FILE = "progress.json"

_LINES_OF_A_FAILURE = 20
_POLL = 0.2
_PATIENCE = 15.0
# What a run that goes on keeps of what was known of it.
_KEPT = ("trained", "train_seconds", COMMITS, TEACHER_DIGEST, DATA_DIGEST)

Metrics = dict[str, float | None]


def finish_runs(
    runs: Sequence[Run],
    jobs: int = 1,
    *,
    progress: Progress | None = None,
    verbose: bool = False,
    first: int = 1,
    total: int | None = None,
    gradient_shares: bool = False,
) -> dict[Run, Metrics]:
    """Train and measure runs, as far as that has not been done yet.

    A run is trained anew only when its config, its options or its teacher changed; what it had
    then is set aside. An interrupted one goes on from its last checkpoint. When one fails, the
    others are finished before that is an error; when this process is interrupted, they are stopped
    and go on the next time.

    Args:
        runs: The runs, in the order in which they are begun.
        jobs: How many are carried out at a time. They share the processor's cores, unless
            ``OMP_NUM_THREADS`` is set, and take turns on the GPUs there are.
        progress: Shows what they are doing. Default: on standard output.
        verbose: Print the whole output of the runs, which goes to their logs in any case.
        first: Number of the first run, to be shown.
        total: Number of all runs, to be shown. Default: that of ``runs``.
        gradient_shares: Measure the gradients on the student's neck in each training.

    Returns:
        Run → metrics, see :data:`tbd.studies.comparison.report.METRICS`.

    Raises:
        RuntimeError: Trainings or evaluations failed or wrote no checkpoint, or what is kept of a
            run is damaged.
        ValueError: ``jobs`` is less than 1.
    """
    if jobs < 1:
        raise ValueError(f"--jobs must be at least 1, is {jobs}.")
    progress = progress or Progress(quiet=verbose)
    total = total or len(runs)
    waiting = [
        (run, f"[{number}/{total}] {run.name}, seed {run.seed}")
        for number, run in enumerate(runs, first)
    ]
    queue = _Queue(waiting, jobs, progress, verbose, gradient_shares)
    with termination_as_interrupt():
        try:
            while not queue.done:
                queue.step()
        except BaseException:
            queue.stop()
            unfinished = total - (first - 1) - len(queue.metrics)
            progress.say(
                f"stopped, {unfinished} of {total} runs unfinished; the same command goes on from "
                "their last checkpoints"
            )
            raise
    if queue.failures:
        raise RuntimeError(
            f"{len(queue.failures)} of {total} runs failed; the others are finished and kept.\n"
            + "\n".join(queue.failures)
        )
    return {run: queue.metrics[run] for run in runs}


def environment(slot: int, jobs: int) -> dict[str, str]:
    """Variables of a run's processes.

    Args:
        slot: Number of the place among those that run at the same time, from 0.
        jobs: Number of these places.
    """
    variables = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if jobs > 1:
        variables.setdefault("OMP_NUM_THREADS", str(max(1, _num_cores() // jobs)))
        devices = _devices()
        if devices:
            variables["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
    return variables


class _Queue:
    """Runs that wait and runs that are on their way, at most so many of these at a time.

    Args:
        waiting: The runs in the order in which they are begun, each with its label.
        jobs: How many are carried out at a time.
        progress: Shows what they are doing.
        verbose: See :func:`finish_runs`.
        gradient_shares: Likewise.

    Attributes:
        metrics: Of the runs that are finished.
        failures: What went wrong with those that failed.
    """

    def __init__(
        self,
        waiting: Sequence[tuple[Run, str]],
        jobs: int,
        progress: Progress,
        verbose: bool,
        gradient_shares: bool,
    ) -> None:
        self.metrics: dict[Run, Metrics] = {}
        self.failures: list[str] = []
        self._waiting = list(waiting)
        self._active: dict[int, _Execution] = {}
        self._jobs = jobs
        self._progress = progress
        self._verbose = verbose
        self._gradient_shares = gradient_shares

    @property
    def done(self) -> bool:
        return not (self._waiting or self._active)

    def step(self) -> None:
        """Begin what has a place, go on with what runs, show it, and wait a moment."""
        while self._waiting and len(self._active) < self._jobs:
            self._begin(*self._waiting.pop(0))
        for slot, execution in list(self._active.items()):
            self._go_on(slot, execution)
        self._progress.show([execution.stage for execution in self._active.values()])
        time.sleep(_POLL if self._active else 0)

    def stop(self) -> None:
        """Stop what runs, all at once, and wait until it has ended."""
        for execution in self._active.values():
            execution.stop()
        for execution in self._active.values():
            execution.wait()

    def _begin(self, run: Run, label: str) -> None:
        try:
            finished = _take_up(run, label, self._progress)
        except (OSError, RuntimeError, ValueError) as error:
            self.failures.append(str(error))
            self._progress.say(f"{label}: failed, see the end")
            return
        if finished is not None:
            self.metrics[run] = finished
            return
        slot = next(slot for slot in range(self._jobs) if slot not in self._active)
        variables = environment(slot, self._jobs)
        self._active[slot] = _Execution(run, label, variables, self._verbose, self._gradient_shares)

    def _go_on(self, slot: int, execution: "_Execution") -> None:
        try:
            execution.advance()
        except (FileNotFoundError, RuntimeError) as error:
            self.failures.append(str(error))
            self._progress.say(f"{execution.label}: failed, see {execution.log}")
            self._active.pop(slot).release()
            return
        if execution.done:
            self.metrics[execution.run] = _metrics_of(execution.run)
            self._progress.say(_result(execution, self.metrics[execution.run]))
            self._active.pop(slot).release()


class _Execution:
    """One run, on its way through training and evaluation."""

    def __init__(
        self,
        run: Run,
        label: str,
        variables: Mapping[str, str],
        verbose: bool,
        gradient_shares: bool,
    ) -> None:
        self._gradient_shares = gradient_shares
        self.run = run
        self.label = label
        self.begun = time.monotonic()
        self.done = False
        self._variables = variables
        self._verbose = verbose
        self.log = run.folder / LOG_FILE
        self._lock = _hold(run)
        self._progress = run.folder / PROGRESS_FILE
        self._progress.unlink(missing_ok=True)
        self._doing = "starting"
        self._process = self._evaluate() if read_state(run.folder).get("trained") else self._train()

    @property
    def stage(self) -> Stage:
        if self._training:
            self._doing = read_progress(self._progress) or self._doing
        return Stage(self.label, self._doing)

    def advance(self) -> None:
        """Begin the evaluation when the training has ended.

        Raises:
            FileNotFoundError: The training wrote no checkpoint.
            RuntimeError: Either of them failed.
        """
        status = self._process.poll()
        if status is None:
            return
        if status:
            raise RuntimeError(self._failure(status))
        if not self._training:
            self.done = True
            return
        self.run.final_checkpoint()
        self._note(trained=True)
        self._process = self._evaluate()

    def stop(self) -> None:
        if self._training:
            self._note(trained=False)
        self._process.terminate()

    def wait(self) -> None:
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.release()

    def release(self) -> None:
        """Let other processes take up the run."""
        self._lock.close()

    def _train(self) -> "subprocess.Popen[str]":
        self._training = True
        self._note_commit()
        command = [sys.executable, "-m", "tbd", "train", self.run.config, "--resume"]
        command += ["--work-dir", str(self.run.folder), "--progress-file", str(self._progress)]
        if self._gradient_shares:
            command += ["--gradient-file", str(self.run.folder / GRADIENT_FILE)]
        return self._launch([*command, "--cfg-options", *self.run.options])

    def _evaluate(self) -> "subprocess.Popen[str]":
        self._training = False
        self._doing = "evaluating"
        return self._launch([sys.executable, "-m", __package__, str(self.run.folder)])

    def _note(self, trained: bool) -> None:
        """Write down for how long the training has run, and whether it is at its end."""
        state = read_state(self.run.folder)
        seconds = state.get("train_seconds", 0.0) + time.monotonic() - self.begun
        content = {**state, "trained": trained, "train_seconds": round(seconds, 1)}
        write_state(self.run.folder, content)

    def _note_commit(self) -> None:
        """Write down which code trains; a training that goes on may do so by later code."""
        commit = source_commit()
        state = read_state(self.run.folder)
        commits = state.get(COMMITS, [])
        if commit is not None and commit not in commits:
            write_state(self.run.folder, {**state, COMMITS: [*commits, commit]})

    def _launch(self, command: Sequence[str]) -> "subprocess.Popen[str]":
        prefix = f"{self.run.name}, seed {self.run.seed}: " if self._verbose else None
        return launch(command, self.log, self._variables, prefix)

    def _failure(self, status: int) -> str:
        part = "training" if self._training else "evaluation"
        lines = self.log.read_text(errors="replace").splitlines()[-_LINES_OF_A_FAILURE:]
        tail = "\n".join(f"  {line}" for line in lines)
        return (
            f"the {part} of {self.run.name}, seed {self.run.seed}, ended with exit status "
            f"{status}. Its log, {self.log}, ends with\n{tail}\n"
            "The same command goes on from the last checkpoint."
        )


def launch(
    command: Sequence[str], log: Path, variables: Mapping[str, str], prefix: str | None
) -> "subprocess.Popen[str]":
    """Start a command whose output is appended to a log, and printed too if there is a prefix."""
    with log.open("a") as file:
        if prefix is None:
            return subprocess.Popen(
                command, env=variables, stdout=file, stderr=subprocess.STDOUT, text=True
            )
    process = subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    threading.Thread(target=_copy, args=(process.stdout, log, prefix), daemon=True).start()
    return process


def _copy(lines: IO[str], log: Path, prefix: str) -> None:
    with log.open("a") as file:
        for line in lines:
            file.write(line)
            file.flush()
            print(f"{prefix}{line}", end="", flush=True)


def _hold(run: Run) -> IO[str]:
    """Keep other processes from a run: one of another config would take its folder away.

    Returns:
        Its log, which is held until it is closed.

    Raises:
        RuntimeError: Another process holds it.
    """
    held = lock_file(run.folder / LOG_FILE)
    if held is None:
        raise RuntimeError(
            f"{run.name}, seed {run.seed}: another process trains or measures the run in "
            f"{run.folder}. Wait for its end, or give another --work-dir."
        )
    return held


def _take_up(run: Run, label: str, progress: Progress) -> Metrics | None:
    """Prepare the folder of a run; return its metrics if it is finished already.

    Raises:
        FileNotFoundError: It is trained and not measured, and has lost its checkpoints.
        RuntimeError: Another process is at work on it.
        ValueError: What is known of it is damaged, or a training is at work in its folder.
    """
    if (run.folder / LOG_FILE).is_file():
        _hold(run).close()
    state = read_state(run.folder)
    if run.folder.exists() and not run.is_described_by(state):
        state = _replace(run, label, progress)
    if state.get("metrics"):
        if state.get("format") != RUN_FORMAT:
            other = "under other names of metrics"
        elif not run.is_measured_by(state):
            other = "measured on other annotations"
        else:
            progress.say(f"{label}: finished before, {_ap(state['metrics'])}")
            return dict(state["metrics"])
        progress.say(f"{label}: trained before, {other}; measuring it again")
        state["trained"] = True
    if state.get("trained") and (fault := run.checkpoint_fault()):
        _check_resumable(run, fault)
        progress.say(f"{label}: {fault}. The training goes on from an earlier checkpoint")
        state["trained"] = False
    # What an older release began with is not known.
    begun = state or {TEACHER_DIGEST: run.teacher_digest, DATA_DIGEST: run.data_digest}
    kept = {key: begun[key] for key in _KEPT if begun.get(key) is not None}
    write_state(
        run.folder,
        {
            "format": RUN_FORMAT,
            "config": run.config,
            "seed": run.seed,
            "options": list(run.options),
            "fingerprint": run.fingerprint,
            **kept,
        },
    )
    return None


def _replace(run: Run, label: str, progress: Progress) -> dict[str, Any]:
    """Set the folder of another state of a run aside; return what is known of this one.

    Raises:
        ValueError: A training is at work in the folder.
    """
    # One that outlived its comparison would go on writing to the old name.
    with only_training_in(str(run.folder)):
        aside = set_aside(run)
    earlier = take_back(run)
    progress.say(
        f"{label}: {run.folder} belongs to another state of the config, its options, its "
        f"annotations or its teacher; moved to {aside}, "
        + (f"and {earlier}, which is of this state, put back" if earlier else "training again")
    )
    return read_state(run.folder)


def _check_resumable(run: Run, fault: str) -> None:
    """Refuse a trained run that cannot be measured, and has nothing that it could go on from."""
    if find_resumable(run.folder) is None:
        raise FileNotFoundError(
            f"{run.name}, seed {run.seed}, is trained but not measured, and its last checkpoint "
            f"cannot be read: {fault}. There is no other that the training could go on from: put "
            f"the file back, or delete {run.folder} to train the run again."
        )


def _metrics_of(run: Run) -> Metrics:
    return dict(read_state(run.folder)["metrics"])


def _result(execution: _Execution, metrics: Metrics) -> str:
    seconds = time.monotonic() - execution.begun
    return f"{execution.label}: {_ap(metrics)} after {duration(seconds)}"


def _ap(metrics: Mapping[str, float | None]) -> str:
    ap = metrics.get("ap")
    return "no AP" if ap is None else f"AP {ap:.1f}"


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _devices() -> list[str]:
    """Names of the GPUs that this process may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    return [str(index) for index in range(torch.cuda.device_count())]
