"""The Runner of a training or an evaluation, and the folder that it writes to."""

import os.path as osp

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from tbd.engine.config import config_name


def resolve_work_dir(cfg: Config, config: str | Config, work_dir: str | None) -> str:
    """Choose the work directory: the argument, the config's, or one named after the file."""
    return work_dir or cfg.get("work_dir") or osp.join("work_dirs", config_name(config))


def build_runner(cfg: Config) -> Runner:
    """Build the config's Runner, of the class that its ``runner_type`` names if it does."""
    return RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
