import os

import pytest
import torch
from mmengine.config import Config

from tbd.engine import launch, set_launcher

RENDEZVOUS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture
def started(monkeypatch):
    """A machine without a GPU on which process groups are recorded, not created."""
    calls = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(launch.dist, "init_process_group", lambda *a, **k: calls.append((a, k)))
    for name in RENDEZVOUS:
        # Recorded by monkeypatch, so that what the code sets is undone.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return calls


def set_environment(monkeypatch, prefix, *names):
    for value, name in enumerate(names):
        monkeypatch.setenv(prefix + name, str(value))


def test_an_unknown_launcher_is_an_error():
    with pytest.raises(ValueError, match=r"launcher='ssh'.*none, pytorch, slurm, mpi"):
        set_launcher(Config(), "ssh")


def test_a_single_process_is_left_alone(started):
    cfg = Config()
    set_launcher(cfg, "none")
    assert cfg.launcher == "none"
    assert "model_wrapper_cfg" not in cfg
    assert not started


def test_without_a_gpu_gloo_is_started(started, monkeypatch):
    set_environment(monkeypatch, "", "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")
    cfg = Config(
        dict(
            find_unused_parameters=True,
            model_wrapper_cfg=dict(static_graph=True),
            env_cfg=dict(dist_cfg=dict(backend="nccl", timeout=60)),
        )
    )
    set_launcher(cfg, "pytorch")
    ((arguments, options),) = started
    assert arguments == ("gloo",)
    assert options["timeout"].total_seconds() == 60
    assert cfg.launcher == "pytorch"
    assert cfg.model_wrapper_cfg.to_dict() == dict(
        type="MMDistributedDataParallel",
        broadcast_buffers=False,
        find_unused_parameters=True,
        static_graph=True,
        device_ids=None,
    )


def test_with_a_gpu_mmengine_does_all(started, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    cfg = Config()
    set_launcher(cfg, "pytorch")
    assert cfg.launcher == "pytorch"
    assert "model_wrapper_cfg" not in cfg
    assert not started


def test_a_tool_that_was_not_launched_says_so(started):
    with pytest.raises(ValueError, match=r"launcher='pytorch' needs RANK.*dist_train\.sh"):
        set_launcher(Config(), "pytorch")


@pytest.mark.parametrize(
    ("launcher", "prefix", "names"),
    [
        ("slurm", "SLURM_", ("LOCALID", "PROCID", "NTASKS")),
        ("mpi", "OMPI_COMM_WORLD_", ("LOCAL_RANK", "RANK", "SIZE")),
    ],
)
def test_other_launchers_environments_are_translated(started, monkeypatch, launcher, prefix, names):
    set_environment(monkeypatch, prefix, *names)
    monkeypatch.setenv("MASTER_ADDR", "head")
    set_launcher(Config(), launcher)
    found = {name: os.environ[name] for name in RENDEZVOUS}
    assert found == dict(
        LOCAL_RANK="0", RANK="1", WORLD_SIZE="2", MASTER_ADDR="head", MASTER_PORT="29500"
    )
    assert len(started) == 1
