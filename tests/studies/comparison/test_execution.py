"""Runs in processes of their own; the processes are real, what they do is not."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from tbd.engine.work_folder import lock_file, only_training_in
from tbd.studies.comparison import execution
from tbd.studies.comparison.execution import environment, finish_runs
from tbd.studies.comparison.progress import Progress
from tbd.studies.comparison.runs import Run, read_state

# Appends when it began and ended to a file beside the run, so that a test sees what overlapped.
WORK = """
import json, pathlib, sys, time
folder, seconds, status = pathlib.Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
events = folder.parent / "events"
name = folder.name
def note(what):
    with events.open("a") as file:
        file.write(f"{name} {what}\\n")
note("begins")
print("output of", name, flush=True)
time.sleep(seconds)
if status:
    sys.exit(status)
(folder / "last_checkpoint").write_text("epoch_1.pth")
note("ends")
"""
MEASURE = """
import json, pathlib, sys
path = pathlib.Path(sys.argv[1]) / "run.json"
path.write_text(json.dumps({**json.loads(path.read_text()), "metrics": {"ap": 12.5}}))
"""


@pytest.fixture
def runs(tmp_path):
    return [Run(f"{name}.py", 0, tmp_path / name, ("a=1",), name) for name in "abc"]


@pytest.fixture
def work(monkeypatch):
    """Say how long the training of a run takes, and how it ends."""
    plan = {}
    launch = execution.launch

    def start(command, log, variables, prefix):
        if command[2] == "tbd":
            folder = command[command.index("--work-dir") + 1]
            seconds, status = plan.get(Path(folder).name, (0.0, 0))
            command = [sys.executable, "-c", WORK, folder, str(seconds), str(status)]
        else:
            command = [sys.executable, "-c", MEASURE, command[3]]
        return launch(command, log, variables, prefix)

    monkeypatch.setattr(execution, "launch", start)
    monkeypatch.setattr(execution, "_POLL", 0.02)
    return plan


def events(tmp_path):
    return (tmp_path / "events").read_text().splitlines()


def test_one_after_the_other_and_then_never_again(runs, work, tmp_path):
    file = io.StringIO()
    found = finish_runs(runs, progress=Progress(file))
    assert list(found) == runs
    assert all(metrics == {"ap": 12.5} for metrics in found.values())
    assert events(tmp_path) == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]
    assert [line.partition(" after")[0] for line in file.getvalue().splitlines()] == [
        f"[{number}/3] {name}, seed 0: AP 12.5" for number, name in enumerate("abc", 1)
    ]
    assert (tmp_path / "a" / "output.log").read_text() == "output of a\n"
    assert finish_runs(runs, progress=Progress(io.StringIO())) == found
    assert len(events(tmp_path)) == 6


def test_several_at_a_time(runs, work, tmp_path):
    work |= {"a": (2.0, 0), "b": (0.0, 0), "c": (0.0, 0)}
    finish_runs(runs, jobs=2, progress=Progress(io.StringIO()))
    # The third takes the place of the second while the first goes on.
    assert events(tmp_path)[-1] == "a ends"
    assert events(tmp_path).index("c begins") < events(tmp_path).index("a ends")


def test_the_others_are_finished_when_one_fails(runs, work, tmp_path):
    work |= {"a": (0.1, 3), "b": (0.5, 0)}
    file = io.StringIO()
    with pytest.raises(RuntimeError, match=r"training of a, seed 0, ended with exit status 3") as e:
        finish_runs(runs, jobs=2, progress=Progress(file))
    assert "1 of 3 runs failed" in str(e.value)
    assert "output of a" in str(e.value)
    assert f"[1/3] a, seed 0: failed, see {tmp_path / 'a' / 'output.log'}" in file.getvalue()
    assert {"b ends", "c ends"} <= set(events(tmp_path))
    work.clear()
    assert len(finish_runs(runs, jobs=2, progress=Progress(io.StringIO()))) == 3
    # Only the failed one was begun again.
    assert events(tmp_path).count("b begins") == events(tmp_path).count("c begins") == 1


def test_a_run_says_which_code_trained_it(runs, work, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "source_commit", lambda: "first")
    work |= {"a": (0.0, 3)}
    with pytest.raises(RuntimeError):
        finish_runs(runs[:2], progress=Progress(io.StringIO()))
    work.clear()
    monkeypatch.setattr(execution, "source_commit", lambda: "second")
    finish_runs(runs[:2], progress=Progress(io.StringIO()))
    assert [read_state(tmp_path / name)["commits"] for name in "ab"] == [
        ["first", "second"],
        ["first"],
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_stops_all(runs, work, tmp_path, number, request):
    work |= {"a": (60.0, 0), "b": (60.0, 0)}
    # A shell lets what it starts in the background ignore Ctrl-C.
    ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, ctrl_c))
    before = signal.getsignal(signal.SIGTERM)
    threading.Timer(1.0, os.kill, (os.getpid(), number)).start()
    with pytest.raises(KeyboardInterrupt):
        finish_runs(runs, jobs=2, progress=Progress(io.StringIO()))
    assert signal.getsignal(signal.SIGTERM) is before
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(tmp_path) not in running
    assert "metrics" not in read_state(tmp_path / "a")


def test_verbose_prints_what_the_log_gets(runs, work, tmp_path, capsys):
    finish_runs(runs[:1], verbose=True)
    time.sleep(0.2)
    assert "a, seed 0: output of a\n" in capsys.readouterr().out
    assert (tmp_path / "a" / "output.log").read_text() == "output of a\n"


def test_another_state_of_a_run_is_set_aside(runs, work, tmp_path):
    finish_runs(runs[:1], progress=Progress(io.StringIO()))
    other = Run("a.py", 0, tmp_path / "a", (), "other")
    file = io.StringIO()
    finish_runs([other], progress=Progress(file))
    assert "moved to" in file.getvalue()
    kept = json.loads((tmp_path / "a.replaced_1" / "run.json").read_text())
    assert kept["fingerprint"] == "a"
    assert events(tmp_path).count("a begins") == 2


def test_what_was_set_aside_is_put_back_when_its_state_returns(runs, work, tmp_path):
    finish_runs(runs[:1], progress=Progress(io.StringIO()))
    finish_runs([Run("a.py", 0, tmp_path / "a", (), "b")], progress=Progress(io.StringIO()))
    file = io.StringIO()
    found = finish_runs(runs[:1], progress=Progress(file))
    assert found == {runs[0]: {"ap": 12.5}}
    assert "moved to" in file.getvalue()
    assert "a.replaced_1, which is of this state, put back" in file.getvalue()
    assert "finished before, AP 12.5" in file.getvalue()
    assert events(tmp_path).count("a begins") == 2
    assert read_state(tmp_path / "a")["fingerprint"] == "a"
    assert read_state(tmp_path / "a.replaced_2")["fingerprint"] == "b"


def test_a_run_that_another_process_works_on_is_left_to_it(runs, work, tmp_path):
    """Another config would take its folder away, and both would write to one name."""
    finish_runs(runs[:1], progress=Progress(io.StringIO()))
    other = Run("a.py", 0, tmp_path / "a", (), "other")
    with (
        lock_file(tmp_path / "a" / "output.log"),
        pytest.raises(RuntimeError, match="another process trains or measures the run in "),
    ):
        finish_runs([other, runs[1]], progress=Progress(io.StringIO()))
    assert not list(tmp_path.glob("a.*"))
    assert "b ends" in events(tmp_path)
    finish_runs([other, runs[1]], progress=Progress(io.StringIO()))


def test_a_folder_in_which_a_training_goes_on_is_not_set_aside(runs, work, tmp_path, monkeypatch):
    finish_runs(runs[:1], progress=Progress(io.StringIO()))
    monkeypatch.setattr(
        execution, "only_training_in", lambda folder: only_training_in(folder, patience=0.0)
    )
    other = Run("a.py", 0, tmp_path / "a", (), "other")
    with (
        only_training_in(str(tmp_path / "a")),
        pytest.raises(RuntimeError, match="is that of another training, which is still"),
    ):
        finish_runs([other], progress=Progress(io.StringIO()))
    assert not list(tmp_path.glob("a.*"))


def test_a_replaced_teacher_is_noted_from_the_beginning_of_a_run(runs, work, tmp_path):
    def finish(digest):
        file = io.StringIO()
        finish_runs([Run("a.py", 0, tmp_path / "a", (), "a", digest)], progress=Progress(file))
        return file.getvalue()

    finish("first")
    assert read_state(tmp_path / "a")["teacher_sha256"] == "first"
    assert "finished before" in finish("first")
    assert "moved to" in finish("second")
    assert events(tmp_path).count("a begins") == 2
    # Of a run that did not note it, it stays unknown.
    state = read_state(tmp_path / "a")
    del state["teacher_sha256"], state["metrics"], state["trained"]
    (tmp_path / "a" / "run.json").write_text(json.dumps(state))
    finish("third")
    assert "teacher_sha256" not in read_state(tmp_path / "a")


def test_changed_annotations_are_trained_on_or_measured_again(runs, work, tmp_path):
    def finish(trained_on, tested_on):
        file = io.StringIO()
        run = Run("a.py", 0, tmp_path / "a", (), "a", None, trained_on, tested_on)
        finish_runs([run], progress=Progress(file))
        return file.getvalue()

    finish("data", None)
    assert read_state(tmp_path / "a")["train_annotations_sha256"] == "data"
    state = {**read_state(tmp_path / "a"), "test_annotations_sha256": "test"}
    (tmp_path / "a" / "run.json").write_text(json.dumps(state))
    torch.save({"state_dict": {}}, tmp_path / "a" / "epoch_1.pth")
    assert "finished before" in finish("data", "test")
    assert "measured on other annotations; measuring it again" in finish("data", "others")
    assert events(tmp_path).count("a begins") == 1
    assert "moved to" in finish("others", "others")
    assert events(tmp_path).count("a begins") == 2


def test_a_damaged_state_is_named_and_nothing_is_trained_again(runs, work, tmp_path):
    finish_runs(runs[:1], progress=Progress(io.StringIO()))
    state = tmp_path / "a" / "run.json"
    whole = state.read_text()
    state.write_text(whole[: len(whole) // 2])
    with pytest.raises(RuntimeError, match=r"1 of 3 runs failed.*\n.*run\.json is damaged"):
        finish_runs(runs, progress=Progress(io.StringIO()))
    assert not list(tmp_path.glob("a.*"))
    # The others are finished, and with the file put back all is as it was.
    assert {"b ends", "c ends"} <= set(events(tmp_path))
    state.write_text(whole)
    assert len(finish_runs(runs, progress=Progress(io.StringIO()))) == 3
    assert events(tmp_path).count("a begins") == 1


def test_a_trained_run_whose_checkpoint_is_lost_goes_on_from_another(runs, work, tmp_path):
    folder = tmp_path / "a"
    finish_runs(runs[:1], progress=Progress(io.StringIO()))
    state = read_state(folder)
    del state["metrics"]
    (folder / "run.json").write_text(json.dumps(state))
    last, earlier = folder / "epoch_1.pth", folder / "epoch_0.pth"
    for content in (None, b"half a file"):
        if content is not None:
            last.write_bytes(content)
        with pytest.raises(RuntimeError, match=rf"cannot be read.* delete {folder} to train") as e:
            finish_runs(runs[:1], progress=Progress(io.StringIO()))
        assert "epoch_1.pth" in str(e.value)
    assert events(tmp_path).count("a begins") == 1

    torch.save({"state_dict": {}, "meta": {}, "message_hub": {}, "optimizer": {}}, earlier)
    file = io.StringIO()
    finish_runs(runs[:1], progress=Progress(file))
    assert "goes on from an earlier checkpoint" in file.getvalue()
    assert events(tmp_path).count("a begins") == 2
    assert read_state(folder)["trained"]


def test_runs_at_a_time_share_cores_and_gpus(monkeypatch):
    monkeypatch.setattr(execution, "_num_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert "OMP_NUM_THREADS" not in environment(0, 1)
    assert environment(0, 1)["CUDA_VISIBLE_DEVICES"] == "2,5"
    assert environment(0, 3)["OMP_NUM_THREADS"] == "2"
    assert [environment(slot, 3)["CUDA_VISIBLE_DEVICES"] for slot in range(3)] == ["2", "5", "2"]
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert environment(0, 3)["OMP_NUM_THREADS"] == "7"
    assert environment(0, 3)["CUDA_VISIBLE_DEVICES"] == ""
