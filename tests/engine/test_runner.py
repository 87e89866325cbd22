from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from tiny import retinanet
from tiny_run import config_dict, write_config, write_data

from tbd.engine import runner
from tbd.engine.runner import build_runner
from tbd.registry import MODELS


def test_runs_of_one_name_share_nothing(tmp_path):
    write_data(tmp_path / "data")
    config = write_config(tmp_path / "run.py", config_dict(tmp_path / "data", retinanet()))
    runners = []
    for number in range(2):
        cfg = Config.fromfile(config)
        cfg.work_dir = str(tmp_path / f"work_{number}")
        runners.append(build_runner(cfg))
    first, second = runners
    assert first.experiment_name.startswith("run_")
    assert first.experiment_name != second.experiment_name
    for shared in ("message_hub", "visualizer", "logger"):
        assert getattr(first, shared) is not getattr(second, shared)
    # Where its scalars and pictures go.
    backend = second.visualizer.get_backend("LocalVisBackend")
    assert str(tmp_path / "work_1") in backend._save_dir


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_with_cuda_no_step_waits_for_the_copy_of_a_batch(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda")
    model = MODELS.build(retinanet())
    monkeypatch.setattr(runner.Runner, "from_cfg", lambda cfg: SimpleNamespace(model=model))
    cfg = Config(dict(train_dataloader=dict(batch_size=1), val_dataloader=dict(pin_memory=False)))
    build_runner(cfg)
    assert cfg.train_dataloader.get("pin_memory", False) == (device == "cuda")
    assert not cfg.val_dataloader.pin_memory
    assert model.data_preprocessor._non_blocking == (device == "cuda")
