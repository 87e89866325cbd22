"""Start and end of distributed runs, on machines without a GPU too."""

import gc
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import barrier, is_distributed, is_main_process

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")

_RANKS = {"pytorch": "RANK", "slurm": "SLURM_PROCID", "mpi": "OMPI_COMM_WORLD_RANK"}


@contextmanager
def launched(cfg: Config, launcher: str) -> Iterator[None]:
    """Run ``cfg`` under ``launcher``: :func:`set_launcher` before, an orderly end after.

    The processes wait for each other and close their group. One that leaves with it open
    may abort: a thread of gloo that lets go of its last work needs the interpreter, which
    is gone by then. The launcher then kills the other processes, the first one in the
    middle of what it alone writes, such as the exported student.

    Closing ends gloo's threads only if nothing else refers to the group, as a distributed
    model does. So the body must not leave the Runner or its model in a variable.
    """
    was_distributed = is_distributed()
    set_launcher(cfg, launcher)
    yield
    if is_distributed() and not was_distributed:
        barrier()
        # Runner and hooks refer to each other. Before closing, as only the closing itself
        # lets the threads have the interpreter that they need to end.
        gc.collect()
        dist.destroy_process_group()


def is_first_process(launcher: str) -> bool:
    """Whether this process is the first of its run, or the only one.

    With CUDA the process group begins with the Runner, until when MMEngine takes every process for
    the first one.

    Args:
        launcher: What started it, see :func:`set_launcher`.
    """
    if launcher == "none" or is_distributed():
        return bool(is_main_process())
    return os.environ.get(_RANKS[launcher], "0") == "0"


def set_launcher(cfg: Config, launcher: str) -> None:
    """Make ``cfg`` a run of ``launcher``, over gloo where there is no CUDA device.

    MMEngine selects a CUDA device whatever the backend; without one, the process
    group is created here, before the Runner looks for it, and the model's wrapper
    is told not to name a device.

    Args:
        cfg: The config of the run, changed in place.
        launcher: ``"none"``, ``"pytorch"`` (torchrun), ``"slurm"`` or ``"mpi"``.

    Raises:
        ValueError: ``launcher`` is unknown, or the environment is not one that it starts.
    """
    if launcher not in LAUNCHERS:
        raise ValueError(f"launcher={launcher!r} is unknown; it is one of {', '.join(LAUNCHERS)}")
    cfg.launcher = launcher
    if launcher == "none" or torch.cuda.is_available():
        return

    wrapper = {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": cfg.get("find_unused_parameters", False),
    }
    wrapper.update(cfg.get("model_wrapper_cfg") or {})
    wrapper["device_ids"] = None
    cfg.model_wrapper_cfg = wrapper
    if not is_distributed():
        _export_rendezvous(launcher)
        seconds = cfg.get("env_cfg", {}).get("dist_cfg", {}).get("timeout")
        timeout = None if seconds is None else timedelta(seconds=seconds)
        dist.init_process_group("gloo", timeout=timeout)


def _export_rendezvous(launcher: str) -> None:
    """Translate a launcher's environment into torch.distributed's own."""
    slurm, mpi = "SLURM_", "OMPI_COMM_WORLD_"
    sources = {
        "pytorch": {name: name for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")},
        "slurm": {
            "RANK": _RANKS["slurm"],
            "WORLD_SIZE": f"{slurm}NTASKS",
            "LOCAL_RANK": f"{slurm}LOCALID",
        },
        "mpi": {
            "RANK": _RANKS["mpi"],
            "WORLD_SIZE": f"{mpi}SIZE",
            "LOCAL_RANK": f"{mpi}LOCAL_RANK",
            "MASTER_ADDR": "MASTER_ADDR",
        },
    }[launcher]
    missing = [source for source in sources.values() if source not in os.environ]
    if missing:
        raise ValueError(
            f"launcher={launcher!r} needs {', '.join(missing)} in the environment; start the tool "
            "through that launcher (tools/dist_train.sh starts torchrun), or use --launcher none"
        )
    os.environ.update({name: os.environ[source] for name, source in sources.items()})
    os.environ.setdefault("MASTER_PORT", "29500")
    if "MASTER_ADDR" not in os.environ:
        os.environ["MASTER_ADDR"] = _slurm_head_node()


def _slurm_head_node() -> str:
    command = ["scontrol", "show", "hostname", os.environ["SLURM_NODELIST"]]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0]
