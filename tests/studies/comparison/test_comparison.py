import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from tiny import retinanet
from tiny_run import ROOT, config_dict, process_environment, write_config, write_data

from tbd.detectors import resolve_model_config
from tbd.detectors.model_config import build_detector
from tbd.engine.config import load_config
from tbd.studies.comparison import (
    compare,
    compare_terms,
    comparison,
    execution,
    measurement,
    training_cost,
)
from tbd.studies.comparison.__main__ import measure_folder
from tbd.studies.comparison.config_hash import config_hash
from tbd.studies.comparison.runs import parse_options


@pytest.fixture
def configs(tmp_path):
    """A teacher, a plain student and a distillation of it."""
    write_data(tmp_path / "data")
    models = {
        "teacher": retinanet(width=8),
        "plain": retinanet(),
        "distilled": dict(
            type="tbd.TeacherStudentDetector",
            student=str(tmp_path / "plain.py"),
            teacher=str(tmp_path / "teacher.py"),
            teacher_ckpt="not/trained.pth",
            distill=dict(hd=dict(type="tbd.HarmonyDistillation", loss_weight=1.0)),
        ),
    }
    paths = {}
    for name, model in models.items():
        content = config_dict(tmp_path / "data", model, epochs=1)
        content["test_evaluator"] = [content["test_evaluator"], dict(type="tbd.HarmonyMetric")]
        paths[name] = write_config(tmp_path / f"{name}.py", content)
    return paths


class Finished:
    """Stands for a process that has ended."""

    def __init__(self, status):
        self.status = status

    def poll(self):
        return self.status

    def wait(self, timeout=None):
        return self.status

    def terminate(self):
        pass


class Processes:
    """Stands for the processes of runs.

    In place of ``tbd train`` it saves a student with random weights, keeps the options and prints
    a line; what is to be measured is measured, in this process.
    """

    def __init__(self):
        self.started = []
        self.measured = []
        self.exit_status = 0

    def __call__(self, command, log, variables, prefix):
        assert command[:2] == [sys.executable, "-m"]
        if command[2] == "tbd.studies.comparison":
            self.measured.append(Path(command[3]).parent.name)
            measure_folder(Path(command[3]))
            return Finished(0)
        assert command[2:4] == ["tbd", "train"]
        config, folder = command[4], Path(command[command.index("--work-dir") + 1])
        assert "--resume" in command
        options = parse_options(command[command.index("--cfg-options") + 1 :])
        self.started.append((Path(config).stem, options))
        with log.open("a") as file:
            file.write("a lot of output\nand its last line\n")
        if self.exit_status == 0:
            torch.manual_seed(options["randomness.seed"])
            model = build_detector(resolve_model_config(load_config(config).model))
            torch.save({"state_dict": model.state_dict()}, folder / "epoch_1.pth")
            (folder / "last_checkpoint").write_text("/before/a/move/epoch_1.pth")
        return Finished(self.exit_status)

    def names(self):
        return [name for name, _ in self.started]


@pytest.fixture
def trainings(monkeypatch):
    stub = Processes()
    monkeypatch.setattr(execution, "launch", stub)
    monkeypatch.setattr(execution, "_POLL", 0)
    monkeypatch.setattr(measurement, "_TIMED_IMAGES", 2)
    monkeypatch.setattr(training_cost, "_ROUNDS", 1)
    return stub


def run(configs, folder, *names, seeds=(0,), **kwargs):
    kwargs.setdefault("step_cost", False)
    return compare([configs[name] for name in names], seeds, str(folder), **kwargs)


@pytest.mark.slow
def test_everything_is_trained_once_and_kept(configs, trainings, tmp_path, capfd):
    pytest.importorskip("onnxruntime")
    arguments = dict(
        seeds=(3, 4), teacher=configs["teacher"], baseline=configs["plain"], step_cost=True
    )
    arguments["onnx"] = True
    out = tmp_path / "out"
    table = run(configs, out, "plain", "distilled", **arguments)
    assert trainings.names() == ["teacher", *["plain", "distilled"] * 2]
    assert [options["randomness.seed"] for _, options in trainings.started] == [0, 3, 3, 4, 4]
    for row in ("teacher", "plain", "distilled"):
        assert f"| {row} " in table
    assert table in capfd.readouterr().out

    content = json.loads((out / "comparison.json").read_text())
    assert len(content["runs"]) == 5
    parameters = sum(p.numel() for p in build_detector(retinanet_config()).parameters())
    for found in content["runs"][1:]:
        # The distilled detector counts without teacher and adaptation layers.
        assert found["metrics"]["params"] == pytest.approx(parameters / 1e6)
        assert 0 <= found["metrics"]["ap"] <= 100
    # One run of each config is timed.
    timed = [f["name"] for f in content["runs"] if f["metrics"].get("milliseconds", 0) > 0]
    assert timed == ["teacher", "plain", "distilled"]
    first = {found["name"]: found["metrics"] for found in content["runs"] if found["seed"] != 4}
    for cost in ("gflops", "onnx_milliseconds"):
        assert all(metrics[cost] > 0 for metrics in first.values())
    # The distilled student costs what the plain one costs, the teacher more.
    assert first["distilled"]["gflops"] == first["plain"]["gflops"] < first["teacher"]["gflops"]
    assert "## AP of each class" in (out / "comparison.md").read_text()
    # What a step costs is measured of distillations alone.
    costs = {
        f["name"]: f["metrics"]["step_cost"]
        for f in content["runs"]
        if f["seed"] == 3 and "step_cost" in f["metrics"]
    }
    assert list(costs) == ["distilled"]
    # Steps this short are timed too coarsely to say which is the longer.
    assert costs["distilled"] > 0
    # Same seed, same stand-in weights: no gain, and that measured on the same seed.
    nothing = {"mean": 0.0, "sd": 0.0, "count": 2, "low": 0.0, "high": 0.0}
    assert content["summary"]["distilled"]["gain"] == nothing
    assert content["machine"]["torch"] == torch.__version__
    by_name = {(found["name"], found["seed"]): found for found in content["runs"]}
    hashes = [by_name[key]["config_hash"] for key in (("plain", 3), ("plain", 4), ("distilled", 3))]
    assert hashes[0] == hashes[1] != hashes[2]
    assert by_name["plain", 3]["versions"].keys() == {
        *("python", "torch", "torchvision", "mmdet", "mmengine", "mmcv", "tbd", "processor")
    }
    for picture in ("comparison.png", "gains.png"):
        assert cv2.imread(str(out / picture)) is not None
    assert (out / "comparison.csv").is_file()
    assert (out / "comparison.md").read_text().startswith(table)

    again = run(configs, out, "plain", "distilled", **arguments)
    assert len(trainings.started) == 5
    # Only times are measured anew.
    assert [line.split("|")[:-4] for line in again.splitlines()] == [
        line.split("|")[:-4] for line in table.splitlines()
    ]


@pytest.mark.slow
def test_a_lost_checkpoint_costs_a_finished_run_its_speed_alone(
    configs, trainings, tmp_path, capsys
):
    out = tmp_path / "out"
    arguments = dict(teacher=configs["teacher"], baseline=configs["plain"], num_pictures=1)
    run(configs, out, "plain", "distilled", **arguments)
    (out / "plain" / "seed_0" / "epoch_1.pth").unlink()
    (out / "teacher" / "seed_0" / "epoch_1.pth").write_bytes(b"half a file")
    (out / "comparison.png").unlink()
    capsys.readouterr()
    run(configs, out, "plain", "distilled", **arguments)
    shown = capsys.readouterr().out
    assert re.search(r"plain, seed 0: neither .* no checkpoint at .*plain/seed_0/epoch_1", shown)
    assert re.search(r"teacher, seed 0: neither .* cannot read .*teacher/seed_0/epoch_1", shown)
    assert len(trainings.started) == 3
    content = json.loads((out / "comparison.json").read_text())
    timed = [f["name"] for f in content["runs"] if "milliseconds" in f["metrics"]]
    assert timed == ["distilled"]
    assert all("ap" in found for found in content["summary"].values())
    assert (out / "comparison.png").is_file()


def test_the_table_is_written_before_anything_is_timed(configs, trainings, tmp_path, monkeypatch):
    def interrupted(runs):
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "time_inference", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(configs, tmp_path / "out", "plain", num_pictures=0)
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert "ap" in content["summary"]["plain"]


def test_runs_without_shares_of_the_gradient_are_named(configs, trainings, tmp_path, capsys):
    run(configs, tmp_path / "out", "plain", "distilled", num_pictures=0, gradient_shares=True)
    # The plain student has no terms to share with.
    assert "no shares of the gradient are known of distilled, seed 0: " in capsys.readouterr().out


def test_a_baseline_is_named_by_its_methods(monkeypatch, tmp_path, configs):
    asked = {}
    monkeypatch.setattr(comparison, "compare", lambda *_, **settings: asked.update(settings))

    def baseline(*terms, **settings):
        compare_terms(terms, [0], str(tmp_path / "out"), pair=configs["distilled"], **settings)
        return asked["baseline"] and Path(asked["baseline"]).stem

    assert baseline("plain", "pkd") == "plain"
    assert baseline("plain", "pkd", baseline="plain") == "plain"
    assert baseline("plain", "pkd", baseline="pkd") == "pkd_distilled"
    assert baseline("plain", "pkd", baseline="pkd_distilled") == "pkd_distilled"
    assert baseline("pkd") is None
    assert baseline("plain", "pkd", baseline=None) is None
    with pytest.raises(ValueError, match=r"--baseline 'fgd' is not .*name one of plain, pkd\."):
        baseline("plain", "pkd", baseline="fgd")


@pytest.mark.slow
def test_terms_of_one_pair(configs, trainings, tmp_path, capsys):
    settings = dict(pair=configs["distilled"], num_pictures=0, step_cost=False)
    out = str(tmp_path / "out")
    compare_terms(["plain", "hd+pkd"], [0, 1], out, **settings)
    assert trainings.names() == ["teacher", *["plain", "hd+pkd_distilled"] * 2]
    shown = capsys.readouterr().out
    assert "hd+pkd: " in shown
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["baseline"] == "plain"
    assert content["summary"]["hd+pkd_distilled"]["gain"]["count"] == 2
    state = json.loads((tmp_path / "out/hd+pkd_distilled/seed_0/run.json").read_text())
    assert state["config_hash"]
    trainings.started.clear()

    # More terms and seeds go on in the same folder.
    compare_terms(["plain", "pkd", "hd+pkd"], [0, 2], out, **settings)
    assert trainings.names() == ["pkd_distilled", "plain", "pkd_distilled", "hd+pkd_distilled"]
    trainings.started.clear()
    with pytest.raises(ValueError, match="needs a second stage"):
        compare_terms(["plain", "roi"], [5], out, **settings)
    assert not trainings.started


@pytest.mark.slow
def test_finished_runs_are_evaluated_on_other_data(configs, trainings, tmp_path):
    out = tmp_path / "out"
    arguments = dict(
        seeds=(0, 1), teacher=configs["teacher"], baseline=configs["plain"], num_pictures=0
    )
    write_data(tmp_path / "blind", images=3)
    blind = dict(**arguments, test_data=str(tmp_path / "blind"))
    with pytest.raises(ValueError, match=r"not finished, .*: teacher, seed 0\. Run the same"):
        run(configs, out, "plain", "distilled", **blind)
    run(configs, out, "plain", "distilled", **arguments)
    before = (out / "comparison.json").read_text()
    trainings.started.clear()
    with pytest.raises(ValueError, match=r"trains none; .*: plain, seed 9"):
        run(configs, out, "plain", **{**blind, "seeds": (0, 9)})

    table = run(configs, out, "plain", "distilled", **blind)
    assert not trainings.started
    assert (out / "comparison.json").read_text() == before
    (report,) = out.glob("comparison_all_*.json")
    content = json.loads(report.read_text())
    assert len(content["runs"]) == 5
    assert content["summary"]["distilled"]["gain"]["count"] == 2
    assert report.with_suffix(".md").read_text().startswith(table)
    # What was measured once is read the next time.
    (kept,) = (out / "plain" / "seed_0").glob("metrics_all_*.json")
    kept.write_text(kept.read_text().replace('"ap": ', '"ap": 8'))
    assert run(configs, out, "plain", "distilled", **blind) != table


def retinanet_config():
    return resolve_model_config(retinanet())


def test_distillations_get_the_trained_teacher(configs, trainings, tmp_path):
    run(configs, tmp_path / "out", "plain", "distilled", teacher=configs["teacher"], num_pictures=0)
    options = dict(trainings.started)
    trained = tmp_path / "out" / "teacher" / "seed_0" / "epoch_1.pth"
    assert options["distilled"]["model.teacher_ckpt"] == str(trained)
    assert "model.teacher_ckpt" not in options["plain"]


@pytest.mark.slow
def test_a_changed_config_is_trained_again_and_nothing_is_lost(
    configs, trainings, tmp_path, capsys
):
    out = tmp_path / "out"
    arguments = dict(teacher=configs["teacher"], num_pictures=0)
    run(configs, out, "plain", "distilled", **arguments)
    before = (out / "plain" / "seed_0" / "run.json").read_text()
    trainings.started.clear()

    # The student's file changes; the distillation's own file does not, but it names the student.
    plain = Path(configs["plain"])
    plain.write_text(plain.read_text() + "\nmodel['test_cfg']['max_per_img'] = 7\n")
    run(configs, out, "plain", "distilled", **arguments)
    assert trainings.names() == ["plain", "distilled"]
    assert "seed_0.replaced_1" in capsys.readouterr().out
    assert (out / "plain" / "seed_0.replaced_1" / "run.json").read_text() == before
    trainings.started.clear()

    # Another teacher seed: the teacher and what it teaches.
    run(configs, out, "plain", "distilled", **arguments, teacher_seed=5)
    assert trainings.names() == ["teacher", "distilled"]
    trainings.started.clear()

    run(configs, out, "plain", num_pictures=0, options=["optim_wrapper.optimizer.lr=0.5"])
    assert trainings.started == [
        ("plain", {"optim_wrapper.optimizer.lr": 0.5, "randomness.seed": 0})
    ]
    assert (out / "plain" / "seed_0.replaced_2").is_dir()


def test_a_failed_training_is_reported_and_resumed(configs, trainings, tmp_path):
    out = tmp_path / "out"
    trainings.exit_status = 137
    with pytest.raises(RuntimeError, match="training of plain, seed 0, ended with exit") as error:
        run(configs, out, "plain", num_pictures=0)
    message = str(error.value)
    assert "exit status 137" in message
    assert "and its last line" in message
    assert str(out / "plain" / "seed_0" / "output.log") in message
    marker = out / "plain" / "seed_0" / "epoch_0.pth"
    marker.touch()
    trainings.exit_status = 0
    run(configs, out, "plain", num_pictures=0)
    # In the same folder, so that --resume finds the checkpoints of the first attempt.
    assert marker.exists()
    assert trainings.names() == ["plain", "plain"]


def test_metrics_under_older_names_are_measured_again(configs, trainings, tmp_path, capsys):
    out = tmp_path / "out"
    run(configs, out, "plain", num_pictures=0)
    path = out / "plain" / "seed_0" / "run.json"
    state = json.loads(path.read_text())
    found = dict(state["metrics"])
    old = {"ap": 0.5, "harmony": 0.7, "mean_score": 0.4}
    kept = {key: state[key] for key in ("config", "seed", "fingerprint")}
    path.write_text(json.dumps({**kept, "metrics": old}))
    run(configs, out, "plain", num_pictures=0)
    assert "measuring it again" in capsys.readouterr().out
    assert trainings.names() == ["plain"]
    assert trainings.measured == ["plain", "plain"]
    assert json.loads(path.read_text())["metrics"] == found


def test_an_interrupted_evaluation_is_repeated_without_training(
    configs, trainings, tmp_path, monkeypatch, capsys
):
    def interrupted(folder):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "measure_folder", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(configs, out, "plain", num_pictures=0)
    assert "stopped, 1 of 1 runs unfinished" in capsys.readouterr().out
    run(configs, out, "plain", num_pictures=0)
    assert trainings.names() == ["plain"]


def test_a_training_without_checkpoint_is_explained(configs, trainings, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "launch", lambda *arguments: Finished(0))
    with pytest.raises(RuntimeError, match=r"default_hooks\.checkpoint"):
        run(configs, tmp_path / "out", "plain")


@pytest.mark.parametrize(
    ("names", "arguments", "message"),
    [
        (["plain", "plain"], {}, "named plain"),
        (["plain"], {"teacher": "elsewhere/plain.py"}, "named plain"),
        (["plain"], {"baseline": "other.py"}, "--baseline 'other.py' is not among"),
        (["plain"], {"seeds": ()}, "nothing to compare"),
        ([], {}, "nothing to compare"),
        (["plain"], {"seeds": (1, 1)}, "named twice"),
        (["plain"], {"teacher_seed": 3}, "--teacher-seed 3: no teacher is trained here"),
        (["plain"], {"jobs": 0}, "--jobs must be at least 1, is 0"),
        (["plain"], {"test_data": "data", "onnx": True}, "--onnx beside --test-data"),
        (["plain"], {"test_data": "data", "gradient_shares": True}, "--gradient-shares beside"),
    ],
)
def test_contradictory_arguments(configs, trainings, tmp_path, names, arguments, message):
    with pytest.raises(ValueError, match=message):
        run(configs, tmp_path / "out", *names, **arguments)
    assert not trainings.started


def test_what_no_training_would_begin_with_takes_no_finished_run_away(configs, trainings, tmp_path):
    run(configs, tmp_path / "out", "plain", num_pictures=0)
    with pytest.raises(ValueError, match=r"plain\.py: train_cfg\.max_epoch=5 is no argument"):
        run(configs, tmp_path / "out", "plain", options=["train_cfg.max_epoch=5"])
    with pytest.raises(TypeError, match=r"plain\.py: train_dataloader\.batch_size='two'"):
        run(configs, tmp_path / "out", "plain", options=["train_dataloader.batch_size=two"])
    assert [path.name for path in (tmp_path / "out" / "plain").iterdir()] == ["seed_0"]
    assert trainings.names() == ["plain"]


def test_a_teacher_that_no_distillation_could_load_is_not_trained(configs, trainings, tmp_path):
    Path(configs["teacher"]).rename(tmp_path / "big.py")
    other = config_dict(tmp_path / "data", retinanet(width=16), epochs=1)
    distilled = Path(configs["distilled"])
    distilled.write_text(distilled.read_text().replace("teacher.py", "big.py"))
    configs["other"] = write_config(tmp_path / "other.py", other)
    with pytest.raises(
        ValueError, match=r"other\.py trains another detector than .*distilled"
    ) as e:
        run(configs, tmp_path / "out", "plain", "distilled", teacher=configs["other"])
    assert re.search(
        r"of another shape: .*\nName the config .*model\.teacher, .*big\.py\.", str(e.value)
    )
    assert not trainings.started
    # Without a distillation any detector may be trained beside the others.
    run(configs, tmp_path / "out", "plain", teacher=configs["other"], num_pictures=0)
    assert trainings.names() == ["other", "plain"]


@pytest.mark.slow
def test_command_line_trains_and_resumes(configs, tmp_path):
    command = [
        sys.executable,
        str(ROOT / "tools" / "compare.py"),
        *[configs["plain"], configs["distilled"]],
        *["--teacher", configs["teacher"], "--baseline", configs["plain"], "--seeds", "7"],
        *["--work-dir", str(tmp_path / "out"), "--jobs", "2"],
        *["--cfg-options", "train_cfg.max_epochs=2"],
    ]
    for trained in (True, False):
        result = subprocess.run(
            command, env=process_environment(), capture_output=True, text=True, timeout=600
        )
        assert result.returncode == 0, result.stderr
        assert ("finished before" not in result.stdout) == trained
        # What MMEngine and the data sets print is in files.
        allowed = (
            r"3 runs in \S+, 2 at a time",
            r"\[\d/3\] \w+, seed [07]: ",
            "measuring",
            r"\|",
            "wrote",
            "$",
        )
        for line in result.stdout.splitlines():
            assert re.match("|".join(allowed), line), line
        assert "| distilled " in result.stdout
    assert (tmp_path / "out" / "distilled" / "seed_7" / "epoch_2.pth").is_file()
    folder = tmp_path / "out" / "distilled" / "seed_7"
    assert (folder / "student.pth").is_file()
    assert "no checkpoint to resume" in (folder / "output.log").read_text()
    # The same hash as that of the config that MMEngine keeps beside the checkpoints.
    state = json.loads((folder / "run.json").read_text())
    assert config_hash(Config.fromfile(str(folder / "distilled.py"))) == state["config_hash"]
    assert state["train_seconds"] > 0
    assert (tmp_path / "out" / "comparison.png").is_file()
