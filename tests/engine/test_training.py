import json
import math
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from tiny import retinanet, wrapper
from tiny_run import ROOT, config_dict, process_environment, write_config, write_data

from tbd.compat import load_checkpoint
from tbd.detectors import TeacherStudentDetector
from tbd.engine import train, training

# A hook that ends the process without warning, as an out-of-memory killer does.
KILL_HOOK = """
import os, signal
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class KillHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == int(os.environ.get("KILL_AT", -1)):
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def data(tmp_path):
    write_data(tmp_path / "data")
    return tmp_path / "data"


def assert_equal_runs(one, two):
    """Weights, optimizer and log history of two checkpoints are equal bit by bit."""
    one, two = load_checkpoint(one), load_checkpoint(two)
    assert one["state_dict"].keys() == two["state_dict"].keys()
    for key, value in one["state_dict"].items():
        assert torch.equal(value, two["state_dict"][key]), key
    for index, state in one["optimizer"]["state"].items():
        for key, value in state.items():
            assert torch.equal(value, two["optimizer"]["state"][index][key]), (index, key)
    for key in ("epoch", "iter", "seed"):
        assert one["meta"][key] == two["meta"][key]


def test_a_run_leaves_checkpoints_and_resumes_to_the_same_weights(data, tmp_path):
    config = write_config(tmp_path / "run.py", config_dict(data, wrapper()))
    train(config, str(tmp_path / "whole"))
    # The same schedule, ended early.
    content = config_dict(data, wrapper())
    content["train_cfg"]["max_epochs"] = 2
    short = write_config(tmp_path / "short.py", content)
    train(short, str(tmp_path / "resumed"))
    train(config, str(tmp_path / "resumed"), resume="auto")
    assert (tmp_path / "whole" / "student.pth").is_file()
    assert_equal_runs(tmp_path / "whole/epoch_3.pth", tmp_path / "resumed/epoch_3.pth")


class InterruptionError(Exception):
    pass


def test_the_schedule_of_a_term_goes_on_after_an_interruption(data, tmp_path, monkeypatch):
    model = wrapper()
    model["distill"]["hd"] |= dict(
        schedule=dict(by_epoch=True, warm_up=1, decay="cosine", decay_from=1, off=0.5)
    )
    content = config_dict(data, model)
    # Visualizers are global, by name, and this one writes the scalars that are read below.
    content["visualizer"]["name"] = tmp_path.name
    config = write_config(tmp_path / "run.py", content)
    train(config, str(tmp_path / "whole"))
    (scalars,) = (tmp_path / "whole").glob("*/vis_data/scalars.json")
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    step = TeacherStudentDetector.train_step
    steps = []

    def interrupted(self, *args, **kwargs):
        steps.append(self)
        if len(steps) == 10:
            raise InterruptionError
        return step(self, *args, **kwargs)

    monkeypatch.setattr(TeacherStudentDetector, "train_step", interrupted)
    with pytest.raises(InterruptionError):
        train(config, str(tmp_path / "resumed"))
    monkeypatch.undo()
    train(config, str(tmp_path / "resumed"), resume="auto")
    assert_equal_runs(tmp_path / "whole/epoch_3.pth", tmp_path / "resumed/epoch_3.pth")
    factors = [row["hd.schedule"] for row in rows if "hd.schedule" in row]
    # MMEngine smooths what it logs over the window of a log line, here a single step.
    expected = [0, 0.25, 0.5, 0.75]
    expected += [(1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)] + [0, 0]
    assert factors == pytest.approx(expected)


def test_a_drawn_seed_survives_resuming(data, tmp_path):
    content = config_dict(data, retinanet(), epochs=1)
    content["randomness"] = dict(seed=None)
    train(write_config(tmp_path / "one.py", content), str(tmp_path / "work"))
    content["train_cfg"]["max_epochs"] = 2
    train(write_config(tmp_path / "two.py", content), str(tmp_path / "work"), resume="auto")
    seeds = {load_checkpoint(tmp_path / "work" / f"epoch_{n}.pth")["meta"]["seed"] for n in (1, 2)}
    assert len(seeds) == 1
    assert Config.fromfile(str(tmp_path / "work" / "two.py")).randomness.seed in seeds


def test_the_work_directory_is_named_after_the_config(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path / "named.py", config_dict(data, retinanet(), epochs=1))
    train(config)
    assert (tmp_path / "work_dirs" / "named" / "epoch_1.pth").is_file()


def test_missing_data_stops_the_run_before_it_starts(tmp_path):
    content = config_dict(tmp_path / "nowhere", retinanet())
    config = write_config(tmp_path / "run.py", content)
    with pytest.raises(FileNotFoundError, match=r"train_dataloader\.dataset\.ann_file"):
        train(config, str(tmp_path / "work"))
    assert not (tmp_path / "work").exists()


def test_amp_without_an_accelerator_is_an_error(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "is_cuda_available", lambda: False)
    config = write_config(tmp_path / "run.py", config_dict(data, retinanet()))
    with pytest.raises(ValueError, match="--amp needs an accelerator"):
        train(config, str(tmp_path / "work"), amp=True)


def test_amp_keeps_the_configs_loss_scale(data, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "is_cuda_available", lambda: True)
    monkeypatch.setattr(training, "build_runner", lambda cfg: seen.append(cfg) or _NoRunner())
    monkeypatch.setattr(training, "complete_hooks", lambda runner: None)
    content = config_dict(data, retinanet())
    config = write_config(tmp_path / "run.py", content)
    train(config, str(tmp_path / "work"), amp=True)
    content["optim_wrapper"]["loss_scale"] = 512.0
    config = write_config(tmp_path / "scaled.py", content)
    train(config, str(tmp_path / "work"), amp=True)
    assert [cfg.optim_wrapper.type for cfg in seen] == ["AmpOptimWrapper"] * 2
    assert [cfg.optim_wrapper.loss_scale for cfg in seen] == ["dynamic", 512.0]


def test_auto_scale_lr_needs_a_base_batch_size(data, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "build_runner", lambda cfg: seen.append(cfg) or _NoRunner())
    monkeypatch.setattr(training, "complete_hooks", lambda runner: None)
    content = config_dict(data, retinanet())
    config = write_config(tmp_path / "run.py", content)
    with pytest.raises(ValueError, match=r"--auto-scale-lr needs .*base_batch_size=N"):
        train(config, str(tmp_path / "work"), auto_scale_lr=True)
    content["auto_scale_lr"] = dict(base_batch_size=16)
    config = write_config(tmp_path / "scaled.py", content)
    train(config, str(tmp_path / "work"), auto_scale_lr=True)
    assert seen[0].auto_scale_lr.enable is True


class _NoRunner:
    hooks = ()
    message_hub = SimpleNamespace(log_scalars={})

    def train(self):
        pass


def run_tool(config, work_dir, *options, **environment):
    command = [sys.executable, str(ROOT / "tools/train.py"), config, "--work-dir", str(work_dir)]
    return subprocess.run(
        [*command, *options],
        env=process_environment(**environment),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.openmmlab
@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_training_resumes_to_the_same_weights(data, tmp_path, workers):
    (tmp_path / "kill_hook.py").write_text(KILL_HOOK)
    content = config_dict(data, wrapper())
    content["custom_imports"] = dict(imports=["tbd", "kill_hook"])
    content["custom_hooks"] = [dict(type="mmengine.KillHook")]
    for loader in ("train_dataloader", "val_dataloader"):
        content[loader] |= dict(num_workers=workers, persistent_workers=workers > 0)
    config = write_config(tmp_path / "run.py", content)
    path = dict(PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))

    whole = run_tool(config, tmp_path / "whole", **path)
    assert whole.returncode == 0, whole.stderr

    # In the middle of the third epoch, then again right after resuming.
    work_dir = tmp_path / "killed"
    killed = run_tool(config, work_dir, KILL_AT="10", **path)
    assert killed.returncode == -signal.SIGKILL
    assert not (work_dir / "epoch_3.pth").exists()
    killed = run_tool(config, work_dir, "--resume", KILL_AT="8", **path)
    assert killed.returncode == -signal.SIGKILL

    # As if the kill had come while the second epoch's checkpoint was being written.
    last = work_dir / "epoch_2.pth"
    last.write_bytes(last.read_bytes()[:-1000])
    resumed = run_tool(config, work_dir, "--resume", **path)
    assert resumed.returncode == 0, resumed.stderr
    assert "passes over" in resumed.stdout + resumed.stderr
    assert_equal_runs(tmp_path / "whole/epoch_3.pth", work_dir / "epoch_3.pth")
    exported = [
        torch.load(folder / "student.pth", weights_only=True)["state_dict"]
        for folder in (tmp_path / "whole", work_dir)
    ]
    assert all(torch.equal(value, exported[1][key]) for key, value in exported[0].items())
