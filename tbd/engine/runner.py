"""The Runner of a training or an evaluation, and the folder that it writes to."""

import os.path as osp
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from tbd.compat import forget_visualizer
from tbd.engine.config import config_name
from tbd.engine.wrappers import unwrap


def resolve_work_dir(cfg: Config, config: str | Path | Config, work_dir: str | Path | None) -> str:
    """Choose the work directory: the argument, the config's, or one named after the file."""
    return str(work_dir or "") or cfg.get("work_dir") or osp.join("work_dirs", config_name(config))


def build_runner(cfg: Config) -> Runner:
    """Build the config's Runner, of the class that its ``runner_type`` names if it does.

    With CUDA, batches come in pinned memory unless the config says otherwise, and no step
    waits for their copies.
    """
    if torch.cuda.is_available():
        for part in ("train", "val", "test"):
            if cfg.get(f"{part}_dataloader"):
                cfg[f"{part}_dataloader"].setdefault("pin_memory", True)
    forget_visualizer(cfg.get("visualizer"))
    # Two of one name in one second would share logger and message hub, and with them the folder and
    # the figures of the first.
    while MessageHub.check_instance_created(_name_of_now(cfg)):
        time.sleep(0.05)
    runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    # A FlexibleRunner's model is still its config here.
    preprocessor = getattr(unwrap(runner.model), "data_preprocessor", None)
    if torch.cuda.is_available() and isinstance(preprocessor, BaseDataPreprocessor):
        preprocessor._non_blocking = True
    return runner


def _name_of_now(cfg: Config) -> str:
    """Name under which MMEngine would keep what belongs to a run that begins now."""
    name = cfg.get("experiment_name") or (Path(cfg.filename).stem if cfg.filename else None)
    now = time.strftime("%Y%m%d_%H%M%S")
    return f"{name}_{now}" if name else now
