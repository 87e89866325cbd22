"""Whether a distillation can be trained by the strategy of a FlexibleRunner."""

import logging
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log


def check_strategy(cfg: Config) -> None:
    """Refuse what is known not to work, and fill in what a machine without a GPU needs.

    Args:
        cfg: The config of a run, changed in place.

    Raises:
        ValueError: if the strategy cannot train a distillation as it is set.
    """
    if cfg.get("runner_type") != "FlexibleRunner":
        return
    strategy = cfg.get("strategy") or {}
    kind = strategy.get("type") if isinstance(strategy, dict) else strategy
    if kind == "FSDPStrategy":
        _check_sharding(cfg, strategy if isinstance(strategy, dict) else {})
    elif kind in ("DeepSpeedStrategy", "ColossalAIStrategy"):
        raise ValueError(
            f"strategy.type={kind!r} writes a checkpoint as a folder with parts of every process, "
            "which neither resuming nor exporting a distillation reads. Shard the student by "
            "strategy.type='FSDPStrategy' with state_dict_cfg='full', or leave out runner_type "
            "and strategy for DDP."
        )
    elif kind not in (None, "SingleDeviceStrategy", "DDPStrategy"):
        print_log(
            f"strategy.type={kind!r} was never run with a distillation; DDP (no runner_type) and "
            "FSDPStrategy are tested.",
            "current",
            logging.WARNING,
        )


def _check_sharding(cfg: Config, strategy: dict[str, Any]) -> None:
    if strategy.get("state_dict_cfg") != "full":
        raise ValueError(
            f"strategy.state_dict_cfg={strategy.get('state_dict_cfg', 'local')!r} writes one part "
            "of the student per process, which nothing of tbd reads; set it to 'full'."
        )
    wrapper = ConfigDict(strategy.get("model_wrapper") or {})
    if not wrapper.get("use_orig_params"):
        raise ValueError(
            f"strategy.model_wrapper.use_orig_params={wrapper.get('use_orig_params', False)}: the "
            "student's frozen stages and its trained ones cannot share flat parameters; set "
            "strategy.model_wrapper=dict(type='MMFullyShardedDataParallel', use_orig_params=True)."
        )
    execution = (cfg.get("model") or {}).get("student_execution") or {}
    if execution.get("channels_last"):
        raise ValueError(
            "model.student_execution.channels_last=True lays out weights that FSDPStrategy keeps "
            "flat; leave it out. teacher_execution is free, since the teacher is not sharded."
        )
    if not torch.cuda.is_available():
        wrapper.setdefault("device_id", "cpu")
        cfg.strategy.model_wrapper = wrapper
