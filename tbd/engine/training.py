"""One training run, as ``tools/train.py`` starts it."""

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.device import is_cuda_available, is_musa_available, is_npu_available
from mmengine.logging import print_log

from tbd.engine.config import load_config
from tbd.engine.config_check import check_config
from tbd.engine.data_check import check_data
from tbd.engine.data_content import check_content
from tbd.engine.hooks.gradient_shares import GradientShareHook
from tbd.engine.hooks.progress_file import ProgressFileHook
from tbd.engine.launch import launched
from tbd.engine.resume import set_resume
from tbd.engine.runner import build_runner, resolve_work_dir


def train(
    config: str,
    work_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    resume: str | None = None,
    amp: bool = False,
    auto_scale_lr: bool = False,
    launcher: str = "none",
    progress_file: str | None = None,
    gradient_file: str | None = None,
) -> None:
    """Train the model of a config: a distillation or a plain detector.

    Args:
        config: The config file.
        work_dir: Folder for logs and checkpoints. Default: the config's ``work_dir``,
            else ``work_dirs/<name of the config>``.
        options: ``--cfg-options``, see :func:`tbd.engine.load_config`.
        resume: ``None``, ``"auto"`` or a checkpoint, see :func:`tbd.engine.set_resume`.
        amp: Train in automatic mixed precision.
        auto_scale_lr: Scale the learning rate from the config's base batch size to
            the one in use.
        launcher: See :func:`tbd.engine.launched`.
        progress_file: JSON file that always tells how far the training is, see
            :class:`tbd.engine.hooks.ProgressFileHook`.
        gradient_file: JSON file of the norms of the gradients on a distilled student's neck at
            three moments, see :class:`tbd.engine.hooks.GradientShareHook`.

    Raises:
        FileNotFoundError: The config, a checkpoint to resume or an annotation file is missing.
        ValueError: An option does not fit the config or the machine.
    """
    cfg = load_config(config, options)
    check_config(cfg)
    cfg.work_dir = resolve_work_dir(cfg, config, work_dir)
    if amp:
        _enable_amp(cfg)
    if auto_scale_lr:
        _enable_auto_scale_lr(cfg)
    check_data(cfg, ("train", "val"))
    check_content(cfg)
    _check_kept_checkpoints(cfg)
    set_resume(cfg, resume)
    with launched(cfg, launcher):
        # In a function of its own, so that no variable here keeps the Runner.
        _train(cfg, progress_file, gradient_file)


def _train(cfg: Config, progress_file: str | None, gradient_file: str | None) -> None:
    runner = build_runner(cfg)
    # Not by the config, which a run keeps and which says what was trained.
    if progress_file is not None:
        runner.register_hook(ProgressFileHook(progress_file))
    if gradient_file is not None:
        runner.register_hook(GradientShareHook(gradient_file))
    runner.train()


def _enable_amp(cfg: Config) -> None:
    if not (is_cuda_available() or is_npu_available() or is_musa_available()):
        raise ValueError(
            "--amp needs an accelerator (CUDA, NPU or MUSA) and none is available; "
            "train without --amp"
        )
    cfg.optim_wrapper.type = "AmpOptimWrapper"
    cfg.optim_wrapper.setdefault("loss_scale", "dynamic")


def _enable_auto_scale_lr(cfg: Config) -> None:
    settings = cfg.get("auto_scale_lr")
    if not settings or "base_batch_size" not in settings:
        raise ValueError(
            f"--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=N) in the config, "
            f"which has auto_scale_lr={settings!r}; "
            "N is the total batch size that its learning rate was chosen for"
        )
    settings["enable"] = True


def _check_kept_checkpoints(cfg: Config) -> None:
    hook = cfg.get("default_hooks", {}).get("checkpoint") or {}
    if hook.get("max_keep_ckpts") == 1:
        print_log(
            "default_hooks.checkpoint.max_keep_ckpts=1: MMEngine removes the old checkpoint before "
            "it writes the new one, so a run killed in between has none to resume from; 2 is safe",
            "current",
            logging.WARNING,
        )
