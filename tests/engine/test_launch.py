import os
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from tiny import wrapper
from tiny_run import config_dict, free_port, process_environment, write_config, write_data

from tbd.engine import launch, launched, set_launcher

# Runs and prints the threads that are left, before the process could end.
SCRIPT = """
import os
import sys
from pathlib import Path
from tbd import engine

run, *arguments = sys.argv[1:]
getattr(engine, run)(*arguments, launcher="pytorch")
names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
# One write: print makes several of unbuffered output, which two processes may interleave.
os.write(1, f"LEFT {[name for name in names if 'gloo' in name]}\\n".encode())
"""

# Joins the group, and says with how many and what they have together.
MEETING = """
import os
import sys
import torch
import torch.distributed as dist
from mmengine.config import Config
from tbd.engine import launched

with launched(Config(), sys.argv[1]):
    ranks = torch.tensor(2 ** dist.get_rank())
    dist.all_reduce(ranks)
    os.write(1, f"MET {dist.get_world_size()} {int(ranks)}\\n".encode())
"""

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


def test_slurm_names_the_first_node(started, monkeypatch, tmp_path):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(
        '#!/bin/sh\n[ "$*" = "show hostname node[1-2]" ] && printf "node1\\nnode2\\n"'
    )
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_NODELIST", "node[1-2]")
    monkeypatch.setenv("MASTER_PORT", "29511")
    set_environment(monkeypatch, "SLURM_", "LOCALID", "PROCID", "NTASKS")
    set_launcher(Config(), "slurm")
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("node1", "29511")


@pytest.mark.parametrize("launcher", ["slurm", "mpi"])
def test_a_task_that_the_launcher_did_not_start_says_so(started, launcher):
    with pytest.raises(ValueError, match=f"launcher='{launcher}' needs .*RANK|PROCID"):
        set_launcher(Config(), launcher)


@pytest.fixture
def group(monkeypatch):
    """A process group that exists from :func:`set_launcher` on, with a record of its end."""
    state = dict(open=False, calls=[])
    monkeypatch.setattr(launch, "is_distributed", lambda: state["open"])
    monkeypatch.setattr(launch, "set_launcher", lambda *_: state.update(open=True))
    monkeypatch.setattr(launch, "barrier", lambda: state["calls"].append("barrier"))
    monkeypatch.setattr(
        launch.dist, "destroy_process_group", lambda: state["calls"].append("destroy")
    )
    return state


def test_processes_wait_for_each_other_before_they_leave(group):
    with launched(Config(), "pytorch"):
        assert group["calls"] == []
    assert group["calls"] == ["barrier", "destroy"]


def test_a_failed_process_does_not_wait_for_the_others(group):
    with pytest.raises(RuntimeError, match="lost"), launched(Config(), "pytorch"):
        raise RuntimeError("lost")
    assert group["calls"] == []


def test_a_group_of_the_caller_stays_open(group):
    group["open"] = True
    with launched(Config(), "pytorch"):
        pass
    assert group["calls"] == []


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are listed in /proc")
def test_no_thread_of_gloo_outlives_a_run(tmp_path):
    write_data(tmp_path / "data")
    config = write_config(tmp_path / "run.py", config_dict(tmp_path / "data", wrapper(), epochs=1))
    (tmp_path / "script.py").write_text(SCRIPT)
    work_dir = str(tmp_path / "work")
    for arguments in (
        ("train", config, work_dir),
        ("evaluate", config, f"{work_dir}/epoch_1.pth", work_dir),
    ):
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
        launcher += [f"--master_port={free_port()}", str(tmp_path / "script.py")]
        result = subprocess.run(
            [*launcher, *arguments],
            env=process_environment(CUDA_VISIBLE_DEVICES=""),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr[-4000:]
        assert result.stdout.count("LEFT []") == 2, result.stdout[-2000:]


def answers(*command: str) -> bool:
    """Whether a launcher is installed here and can start something."""
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "probe", "start"),
    [
        ("mpi", ("mpirun", "--version"), ("mpirun", "--oversubscribe", "--bind-to", "none")),
        ("slurm", ("srun", "-n", "2", "true"), ("srun",)),
    ],
)
def test_processes_of_a_real_launcher_find_each_other(tmp_path, launcher, probe, start):
    if not answers(*probe):
        pytest.skip(f"{probe[0]} starts nothing here")
    (tmp_path / "script.py").write_text(MEETING)
    environment = dict(CUDA_VISIBLE_DEVICES="", MASTER_PORT=free_port())
    if launcher == "mpi":
        root = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
        environment |= dict(MASTER_ADDR="127.0.0.1") | dict.fromkeys(root, "1")
    result = subprocess.run(
        [*start, "-n", "2", sys.executable, str(tmp_path / "script.py"), launcher],
        env=process_environment(**environment),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    assert result.stdout.count("MET 2 3") == 2, result.stdout[-2000:]
