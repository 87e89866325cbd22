"""Break trainings in every way that we know, resume them, and see what was lost.

    PYTHONPATH=.:tests python -m campaigns.faults

Prints a row per fault. A result is lost where the run that follows cannot start from the last
checkpoint that was complete before the fault. The weights are compared, bit by bit, with those of
a run without fault. Left over is what lies in the work directory after the next start that a run
without fault does not leave.
"""

import dataclasses
import errno
import itertools
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import ValLoop
from tiny import wrapper
from tiny_run import config_dict, free_port, write_config, write_data

from tbd import files
from tbd.compat import load_checkpoint
from tbd.detectors import TeacherStudentDetector
from tbd.engine import find_resumable, train

Inject = Callable[[], None]
EPOCHS, ITERATIONS = 3, 4
_LIMIT = 600.0


@dataclasses.dataclass
class Outcome:
    """What a fault did.

    Attributes:
        lost: Number of complete checkpoints that were not resumed from.
        equal: Whether the resumed run ended with the weights of a run without fault.
        left: Names of what was left over.
        seconds: From the fault until the other processes had ended, where there were several.
    """

    lost: int
    equal: bool
    left: list[str]
    seconds: float | None = None


class Process:
    """A training in a process of its own, forked with everything imported.

    Args:
        config: Its config file.
        work_dir: Its work directory.
        inject: Called in the process before it trains.
        rank: Its rank and the number of processes and the port they meet at, if there are several.
    """

    def __init__(
        self,
        config: str,
        work_dir: Path,
        inject: Inject | None = None,
        resume: str | None = None,
        rank: tuple[int, int, str] | None = None,
    ) -> None:
        self.log = work_dir.parent / f"{work_dir.name}.log"
        self.id = os.fork()
        if self.id == 0:
            self._train(config, work_dir, inject, resume, rank)

    def _train(
        self,
        config: str,
        work_dir: Path,
        inject: Inject | None,
        resume: str | None,
        rank: tuple[int, int, str] | None,
    ) -> None:
        code = 1
        try:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            launcher = "none"
            if rank is not None:
                launcher = "pytorch"
                names = ("RANK", "WORLD_SIZE", "MASTER_PORT")
                os.environ |= dict(zip(names, map(str, rank), strict=True))
                os.environ |= dict(LOCAL_RANK=str(rank[0]), MASTER_ADDR="127.0.0.1")
            if inject is not None:
                inject()
            train(config, str(work_dir), resume=resume, launcher=launcher)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def wait(self, limit: float = _LIMIT) -> int:
        """Wait for the end.

        Returns:
            Exit status; negative for a signal, as :mod:`subprocess` has it.

        Raises:
            TimeoutError: It did not end in ``limit`` seconds; it is killed.
        """
        end = time.monotonic() + limit
        while time.monotonic() < end:
            found, status = os.waitpid(self.id, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.kill(self.id, signal.SIGKILL)
        os.waitpid(self.id, 0)
        raise TimeoutError(f"{self.log}: not ended after {limit:.0f} s")


class Bench:
    """A config, and what runs without fault end with.

    Args:
        folder: Where everything is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_data(folder / "data")
        self.content = config_dict(folder / "data", wrapper(), epochs=EPOCHS)
        self.content["default_hooks"]["checkpoint"]["max_keep_ckpts"] = 2
        self.config = write_config(folder / "run.py", self.content)
        self._numbers = itertools.count()
        self._whole: dict[int, Path] = {}

    def work_dir(self) -> Path:
        """A new folder for a run."""
        folder = self.folder / f"work_{next(self._numbers)}"
        folder.mkdir()
        return folder

    def run(self, work_dir: Path, *, ranks: int = 1, resume: str | None = None) -> None:
        """Train to the end without fault.

        Raises:
            RuntimeError: A process failed.
        """
        for process in self.start(work_dir, [None] * ranks, resume=resume):
            if code := process.wait():
                raise RuntimeError(f"exit status {code}: {process.log.read_text()[-2000:]}")

    def start(
        self, work_dir: Path, injects: Iterable[Inject | None], resume: str | None = None
    ) -> list[Process]:
        """Start a process per rank, each with its fault."""
        injects = list(injects)
        port = free_port()
        return [
            Process(
                self.config,
                work_dir,
                inject,
                resume,
                (rank, len(injects), port) if len(injects) > 1 else None,
            )
            for rank, inject in enumerate(injects)
        ]

    def whole(self, ranks: int = 1) -> Path:
        """Work directory of a run without fault."""
        if ranks not in self._whole:
            folder = self.work_dir()
            self.run(folder, ranks=ranks)
            self._whole[ranks] = folder
        return self._whole[ranks]

    def judge(
        self, work_dir: Path, complete: int, ranks: int = 1, seconds: float | None = None
    ) -> Outcome:
        """Resume a run that was broken, and compare.

        Args:
            work_dir: Of the broken run.
            complete: Number of epochs whose checkpoint was complete before the fault.
            ranks: Number of processes.
            seconds: Of the outcome.
        """
        found = find_resumable(work_dir)
        epoch = found[1]["meta"]["epoch"] if found else 0
        self.run(work_dir, ranks=ranks, resume="auto")
        whole = self.whole(ranks)
        one, two = (
            load_checkpoint(path / "student.pth")["state_dict"] for path in (whole, work_dir)
        )
        equal = one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
        left = sorted(_names(work_dir) - _names(whole))
        return Outcome(max(complete - epoch, 0), equal, left, seconds)


def _names(folder: Path) -> set[str]:
    """Names of files, but for the logs of each start, which are in folders of their own."""
    return {path.name for path in folder.iterdir() if path.is_file()}


def kill() -> None:
    """End this process as an out-of-memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_iteration(number: int, action: Inject) -> Inject:
    """Do something before an iteration, counted from 1 from the start of the process."""

    def inject() -> None:
        # Not train_step, which a distributed model has of its own.
        loss, counter = TeacherStudentDetector.loss, itertools.count(1)

        def act(self: Any, *args: Any, **kwargs: Any) -> Any:
            if next(counter) == number:
                action()
            return loss(self, *args, **kwargs)

        TeacherStudentDetector.loss = act

    return inject


def in_writing(part: str, action: Inject) -> Inject:
    """Do something when half of a file is written whose path has a part."""

    def inject() -> None:
        # MMEngine writes a checkpoint's bytes by its backend, the export a file by PyTorch.
        put, save = LocalBackend.put, torch.save

        def put_half(self: LocalBackend, content: Any, path: Any) -> None:
            if part in Path(path).name:
                Path(path).write_bytes(bytes(content)[: len(content) // 2])
                action()
            put(self, content, path)

        def save_half(content: Any, file: Any, *args: Any, **kwargs: Any) -> None:
            save(content, file, *args, **kwargs)
            if isinstance(file, str | Path) and part in Path(file).name:
                os.truncate(file, os.path.getsize(file) // 2)
                action()

        LocalBackend.put, torch.save = put_half, save_half

    return inject


def before_call(owner: Any, name: str, number: int, action: Inject) -> Inject:
    """Do something before the call of a method, counted from 1."""

    def inject() -> None:
        original, counter = getattr(owner, name), itertools.count(1)

        def act(*args: Any, **kwargs: Any) -> Any:
            if next(counter) == number:
                action()
            return original(*args, **kwargs)

        setattr(owner, name, act)

    return inject


def raising(error: BaseException) -> Inject:
    """Raise an error."""

    def action() -> None:
        raise error

    return action


def _broken(bench: Bench, inject: Inject, complete: int) -> Outcome:
    folder = bench.work_dir()
    (process,) = bench.start(folder, [inject])
    if process.wait() == 0:
        raise RuntimeError(f"{process.log}: the fault did not end the run")
    return bench.judge(folder, complete)


def stops(inject: Inject, complete: int) -> Callable[[Bench], Outcome]:
    """A fault that ends the process.

    Args:
        inject: Brings it about.
        complete: Checkpoints that are complete when it happens.
    """
    return lambda bench: _broken(bench, inject, complete)


def killed_at_random(seed: int) -> Callable[[Bench], Outcome]:
    """SIGKILL before an iteration drawn at random."""
    number = random.Random(seed).randint(1, EPOCHS * ITERATIONS)
    return stops(at_iteration(number, kill), (number - 1) // ITERATIONS)


def killed_twice(bench: Bench) -> Outcome:
    """SIGKILL, and again right after resuming."""
    folder = bench.work_dir()
    for resume in (None, "auto"):
        (process,) = bench.start(folder, [at_iteration(6 if resume is None else 2, kill)], resume)
        process.wait()
    return bench.judge(folder, 1)


def damaged(damage: Callable[[Path], None], complete: int) -> Callable[[Bench], Outcome]:
    """A run that is killed in its third epoch and whose files then suffer.

    Args:
        damage: Does something to the work directory.
        complete: Checkpoints that are still complete.
    """

    def fault(bench: Bench) -> Outcome:
        folder = bench.work_dir()
        (process,) = bench.start(folder, [at_iteration(10, kill)])
        process.wait()
        damage(folder)
        return bench.judge(folder, complete)

    return fault


def _torn(folder: Path) -> None:
    path = folder / "epoch_2.pth"
    path.write_bytes(path.read_bytes()[:-1000])


def _holed(folder: Path) -> None:
    path = folder / "epoch_2.pth"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)


def _flipped(folder: Path) -> None:
    path = folder / "epoch_2.pth"
    content = bytearray(path.read_bytes())
    for position in range(1000, len(content) - 1000, len(content) // 7):
        content[position] ^= 1
    path.write_bytes(content)


def _emptied(folder: Path) -> None:
    (folder / "epoch_2.pth").write_bytes(b"")


def _removed(folder: Path) -> None:
    (folder / "epoch_2.pth").unlink()


def _record_garbled(folder: Path) -> None:
    (folder / "last_checkpoint").write_bytes(b"\0" * 40)


def _record_removed(folder: Path) -> None:
    (folder / "last_checkpoint").unlink()


def _clock_back(folder: Path) -> None:
    """The newer checkpoint looks older."""
    os.utime(folder / "epoch_2.pth", (1e9, 1e9))


def moved(bench: Bench) -> Outcome:
    """A work directory that is copied, the original of which goes on."""
    folder = bench.work_dir()
    (process,) = bench.start(folder, [at_iteration(6, kill)])
    process.wait()
    copy = bench.work_dir()
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    bench.run(folder, resume="auto")
    return bench.judge(copy, 1)


def clock_runs_back(bench: Bench) -> Outcome:
    """The clock goes back by a day in the middle of the run."""

    def inject() -> None:
        now = time.time

        def back() -> None:
            time.time = lambda: now() - 86400

        at_iteration(6, back)()
        at_iteration(10, kill)()

    folder = bench.work_dir()
    (process,) = bench.start(folder, [inject])
    process.wait()
    os.utime(folder / "epoch_2.pth", (time.time() - 86400,) * 2)
    return bench.judge(folder, 2)


def work_dir_deleted(bench: Bench) -> Outcome:
    """The work directory is removed while the run goes on; nothing is left to lose."""
    folder = bench.work_dir()
    (process,) = bench.start(folder, [at_iteration(6, lambda: shutil.rmtree(folder))])
    process.wait()
    return bench.judge(folder, 0)


def worker_killed(bench: Bench) -> Outcome:
    """A worker of the data loader is killed."""
    content = bench.content | dict(train_dataloader=bench.content["train_dataloader"].copy())
    content["train_dataloader"] |= dict(num_workers=1, persistent_workers=True)
    with patch.object(bench, "config", write_config(bench.folder / "workers.py", content)):
        whole = bench.work_dir()
        bench.run(whole)

        def end_worker() -> None:
            children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
            os.kill(int(children[-1]), signal.SIGKILL)

        with patch.dict(bench._whole, {1: whole}):
            return _broken(bench, at_iteration(6, end_worker), 1)


def paused(bench: Bench) -> Outcome:
    """The process is stopped for a while and goes on."""
    folder = bench.work_dir()
    (process,) = bench.start(folder, [at_iteration(6, lambda: None)])
    time.sleep(1)
    os.kill(process.id, signal.SIGSTOP)
    time.sleep(2)
    os.kill(process.id, signal.SIGCONT)
    process.wait()
    return bench.judge(folder, EPOCHS)


def rank_fails(action: Inject, timeout: float | None = None) -> Callable[[Bench], Outcome]:
    """One of two processes fails; the other one has to end.

    Args:
        action: What happens to the second process, in its second epoch.
        timeout: Seconds of ``env_cfg.dist_cfg.timeout``; None for PyTorch's default.
    """

    def fault(bench: Bench) -> Outcome:
        content = bench.content | dict(env_cfg=dict(bench.content["env_cfg"]))
        if timeout is not None:
            content["env_cfg"]["dist_cfg"] = dict(backend="gloo", timeout=timeout)
        marker = bench.folder / f"failed_{next(bench._numbers)}"
        # Of one name, because a run keeps a copy of its config under it.
        configs = bench.folder / f"timeout_{timeout}"
        configs.mkdir(exist_ok=True)

        def act() -> None:
            marker.touch()
            action()

        with patch.object(bench, "config", write_config(configs / "run.py", content)):
            folder = bench.work_dir()
            first, second = bench.start(folder, [None, at_iteration(3, act)])
            first.wait()
            seconds = time.time() - marker.stat().st_mtime
            os.kill(second.id, signal.SIGKILL)
            second.wait()
            return bench.judge(folder, 1, ranks=2, seconds=seconds)

    return fault


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


_FULL = OSError(errno.ENOSPC, "No space left on device")
_READ_ONLY = OSError(errno.EROFS, "Read-only file system")


FAULTS: dict[str, Callable[[Bench], Outcome]] = {
    **{f"SIGKILL at a random iteration ({seed})": killed_at_random(seed) for seed in range(3)},
    "SIGKILL twice": killed_twice,
    "SIGKILL between epochs": stops(before_call(CheckpointHook, "after_train_epoch", 2, kill), 1),
    "SIGKILL in writing a checkpoint": stops(in_writing("epoch_2", kill), 1),
    "SIGKILL after a checkpoint": stops(before_call(ValLoop, "run", 1, kill), 3),
    "SIGKILL in validation": stops(before_call(TeacherStudentDetector, "predict", 2, kill), EPOCHS),
    "SIGKILL in the export": stops(in_writing("student", kill), EPOCHS),
    "SIGKILL between the exported files": stops(
        before_call(files, "_sync_folder", 1, kill), EPOCHS
    ),
    "SIGTERM": stops(at_iteration(6, lambda: os.kill(os.getpid(), signal.SIGTERM)), 1),
    "SIGINT": stops(at_iteration(6, lambda: os.kill(os.getpid(), signal.SIGINT)), 1),
    "process stopped and continued": paused,
    "memory exhausted": stops(at_iteration(6, raising(MemoryError())), 1),
    "disk full, checkpoint": stops(in_writing("epoch_2", raising(_FULL)), 1),
    "disk full, export": stops(in_writing("student", raising(_FULL)), EPOCHS),
    "disk read-only": stops(in_writing("epoch_2", raising(_READ_ONLY)), 1),
    "work directory deleted": work_dir_deleted,
    "work directory copied": moved,
    "checkpoint torn": damaged(_torn, 1),
    "checkpoint with a hole": damaged(_holed, 1),
    "checkpoint with flipped bits": damaged(_flipped, 1),
    "checkpoint empty": damaged(_emptied, 1),
    "checkpoint removed": damaged(_removed, 1),
    "last_checkpoint garbled": damaged(_record_garbled, 2),
    "last_checkpoint removed": damaged(_record_removed, 2),
    "clock back between the checkpoints": damaged(_clock_back, 2),
    "clock back in the run": clock_runs_back,
    "data-loader worker killed": worker_killed,
    "rank killed": rank_fails(kill),
    "rank fails": rank_fails(raising(RuntimeError("failed"))),
    "rank hangs, timeout of 15 s": rank_fails(_stop, timeout=15),
}
"""Each does its worst to a run of its own and returns what became of it."""


def main() -> int:
    """Run the whole campaign and print its table."""
    logging.disable()
    # A shell lets what it runs in the background ignore interrupts, and so would the runs below.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    failed = 0
    print("| fault | results lost | weights equal | left over | other rank ended after |")
    print("|---|---:|---|---|---:|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        bench = Bench(Path(folder))
        for name, fault in FAULTS.items():
            try:
                found = fault(bench)
            except Exception as error:
                failed += 1
                print(f"| {name} | FAILED: {error} |", flush=True)
                continue
            late = found.seconds is not None and found.seconds > 60
            failed += bool(found.lost or not found.equal or found.left or late)
            seconds = "" if found.seconds is None else f"{found.seconds:.0f} s"
            print(
                f"| {name} | {found.lost} | {'yes' if found.equal else 'NO'} | "
                f"{', '.join(found.left) or 'nothing'} | {seconds} |",
                flush=True,
            )
    print(f"\n{len(FAULTS)} faults, {failed} of them not as promised")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
