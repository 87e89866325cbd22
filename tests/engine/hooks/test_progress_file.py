import json
from types import SimpleNamespace

import pytest
import torch
from tiny import retinanet
from tiny_run import config_dict, write_config, write_data

from tbd.engine import train
from tbd.engine.hooks import ProgressFileHook, progress_file


def read(path):
    return json.loads(path.read_text())


def test_step_loss_and_time_left(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress_file, "time", SimpleNamespace(monotonic=lambda: clock.now))
    path = tmp_path / "progress.json"
    hook = ProgressFileHook(path, interval=4)
    # Goes on after 10 steps, which say nothing about its pace.
    runner = SimpleNamespace(iter=10, max_iters=30)
    hook.before_train(runner)
    assert read(path) == dict(phase="training", step=10, steps=30, loss=None, seconds_left=None)
    for step, loss in ((10, 4.0), (11, 2.0)):
        clock.now += 2
        runner.iter = step
        hook.after_train_iter(runner, 0, outputs={"loss": torch.tensor(loss)})
    assert read(path) == dict(phase="training", step=12, steps=30, loss=3.0, seconds_left=36.0)
    hook.before_val(SimpleNamespace(iter=12, max_iters=30))
    assert read(path)["phase"] == "validating"
    hook.after_val(SimpleNamespace(iter=12, max_iters=30))
    assert read(path)["phase"] == "training"


@pytest.mark.slow
def test_a_training_tells_how_far_it_is_and_keeps_it_out_of_its_config(tmp_path):
    write_data(tmp_path / "data")
    config = write_config(tmp_path / "run.py", config_dict(tmp_path / "data", retinanet(), 2))
    path = tmp_path / "progress.json"
    train(config, str(tmp_path / "work"), progress_file=str(path))
    found = read(path)
    assert (found["step"], found["steps"], found["seconds_left"]) == (8, 8, 0)
    assert "progress" not in (tmp_path / "work" / "run.py").read_text().lower()
