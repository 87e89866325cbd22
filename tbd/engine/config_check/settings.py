"""Settings of a config by their keys: of which kind each is, and how small it may be."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from mmengine.config import Config

from tbd.arguments import check_value

_Part = dict[str, Any]

_KINDS: dict[str, Any] = {
    "auto_scale_lr": _Part,
    "auto_scale_lr.base_batch_size": int,
    "auto_scale_lr.enable": bool,
    "custom_hooks": list[_Part],
    "custom_imports": _Part,
    "custom_imports.imports": str | list[str],
    "data_root": str,
    "default_hooks": _Part,
    "default_hooks.logger.interval": int,
    "default_scope": str,
    "env_cfg": _Part,
    "env_cfg.cudnn_benchmark": bool,
    "env_cfg.dist_cfg": _Part,
    "env_cfg.dist_cfg.timeout": float,
    "env_cfg.mp_cfg": _Part,
    "env_cfg.mp_cfg.mp_start_method": Literal["fork", "spawn", "forkserver"],
    "env_cfg.mp_cfg.opencv_num_threads": int,
    "launcher": Literal["none", "pytorch", "slurm", "mpi"],
    "load_from": str,
    "log_level": Literal["NOTSET", "DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL"],
    "model": _Part,
    "optim_wrapper": _Part,
    "optim_wrapper.accumulative_counts": int,
    "optim_wrapper.optimizer": _Part,
    "optim_wrapper.optimizer.weight_decay": float,
    "optim_wrapper.paramwise_cfg": _Part,
    "optim_wrapper.paramwise_cfg.bypass_duplicate": bool,
    "optim_wrapper.paramwise_cfg.custom_keys": _Part,
    "randomness": _Part,
    "randomness.deterministic": bool,
    "randomness.diff_rank_seed": bool,
    "randomness.seed": int,
    "resume": bool,
    "runner_type": str,
    "test_cfg": _Part,
    "test_dataloader": _Part,
    "test_evaluator": _Part | list[_Part],
    "train_cfg": _Part,
    "train_cfg.dynamic_intervals": list[tuple[int, int]],
    "train_dataloader": _Part,
    "val_cfg": _Part,
    "val_dataloader": _Part,
    "val_evaluator": _Part | list[_Part],
    "visualizer": _Part,
    "visualizer.name": str,
    "work_dir": str,
}

_LEAST = {
    "auto_scale_lr.base_batch_size": 1,
    "default_hooks.logger.interval": 1,
    "env_cfg.dist_cfg.timeout": 1,
    "log_processor.window_size": 1,
    "optim_wrapper.accumulative_counts": 1,
    "optim_wrapper.optimizer.weight_decay": 0,
    "randomness.seed": 0,
    "train_dataloader.batch_size": 1,
    "train_dataloader.num_workers": 0,
}


def check_kinds(cfg: Config) -> None:
    """Check of which kind the settings are that MMEngine takes as they come.

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: A word is none of those that may stand there.
    """
    for key, kind in _KINDS.items():
        value = _setting(cfg, key)
        if value is not None:
            check_value(value, kind, key)


def check_least(cfg: Config) -> None:
    """Check how small the numbers are among them.

    Raises:
        ValueError: A number is too small.
    """
    for key, least in _LEAST.items():
        value = _setting(cfg, key)
        if value is not None and value < least:
            raise ValueError(f"{key}={value} must be {least} or more.")


def check_numbers(node: Any, key: str) -> None:
    """Look for numbers that are none, at any depth.

    Args:
        node: Any value of a config.
        key: Its config key.

    Raises:
        ValueError: A number is nan.
    """
    for place, number in _numbers(node, key):
        if math.isnan(number):
            raise ValueError(f"{place}={number} must be a number.")


def _setting(cfg: Config, key: str) -> Any:
    value: Any = cfg._cfg_dict
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _numbers(node: Any, key: str) -> Iterator[tuple[str, float]]:
    if isinstance(node, Mapping):
        for name, item in node.items():
            yield from _numbers(item, f"{key}.{name}")
    elif isinstance(node, list | tuple):
        for index, item in enumerate(node):
            yield from _numbers(item, f"{key}[{index}]")
    elif isinstance(node, float):
        yield key, node
