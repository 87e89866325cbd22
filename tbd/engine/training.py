"""One training run, as ``tools/train.py`` starts it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import is_cuda_available, is_musa_available, is_npu_available
from mmengine.logging import print_log

from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.engine.config import load_config, refuse_to_replace
from tbd.engine.config_check import check_config
from tbd.engine.data_check import check_data
from tbd.engine.data_content import check_content
from tbd.engine.hooks.gradient_shares import GradientShareHook
from tbd.engine.hooks.progress_file import ProgressFileHook
from tbd.engine.hooks.training_data import TrainingDataCheckHook
from tbd.engine.launch import launched
from tbd.engine.needed_hooks import complete_hooks
from tbd.engine.resume import set_resume
from tbd.engine.runner import build_runner, resolve_work_dir
from tbd.engine.strategy_check import check_strategy
from tbd.engine.work_folder import only_training_in

_VALIDATION = "val/"
_TIMES = ("time", "data_time")


@dataclass(frozen=True)
class TrainingResult:
    """What a training left behind.

    Attributes:
        work_dir: Folder of logs and checkpoints.
        checkpoint: The last checkpoint; None where the config writes none.
        student: The exported plain student's checkpoint, with its config beside it; None where
            nothing was distilled, or the export is switched off.
        metrics: Metrics of the last validation by name; empty without one.
    """

    work_dir: Path
    checkpoint: Path | None
    student: Path | None
    metrics: dict[str, float]


def train(
    config: str | Path | Config,
    work_dir: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    resume: str | Path | None = None,
    amp: bool = False,
    auto_scale_lr: bool = False,
    launcher: str = "none",
    progress_file: str | None = None,
    gradient_file: str | None = None,
) -> TrainingResult:
    """Train the model of a config: a distillation or a plain detector.

    Args:
        config: The config file, or a loaded config.
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

    Returns:
        Where everything is, and what the last validation said.

    Raises:
        FileExistsError: What is written to the work directory has the name of a config there.
        FileNotFoundError: The config, a checkpoint to resume or an annotation file is missing.
        ValueError: An option does not fit the config or the machine, or another training is at work
            in the work directory.
    """
    cfg = load_config(config, options, needs_model=True)
    check_config(cfg)
    check_strategy(cfg)
    cfg.work_dir = resolve_work_dir(cfg, config, work_dir)
    if amp:
        _enable_amp(cfg)
    if auto_scale_lr:
        _enable_auto_scale_lr(cfg)
    _check_written_configs(cfg)
    check_data(cfg, ("train", "val"))
    warnings = check_content(cfg)
    _check_kept_checkpoints(cfg)
    if launcher != "none":
        # All processes at one time, so that they choose the same checkpoint.
        set_resume(cfg, resume)
    student = Path(cfg.work_dir, "student.pth")
    before = student.stat().st_mtime_ns if student.is_file() else None
    with launched(cfg, launcher), only_training_in(cfg.work_dir, launcher=launcher):
        if launcher == "none":
            # Until now another training may have written newer checkpoints, and removed older ones.
            set_resume(cfg, resume)
        # In a function of its own, so that no variable here keeps the Runner.
        metrics = _train(cfg, warnings, progress_file, gradient_file)
    # One that is there may be of an earlier run.
    is_new = student.is_file() and student.stat().st_mtime_ns != before
    return _result(Path(cfg.work_dir), student if is_new else None, metrics)


def _train(
    cfg: Config, warnings: list[str], progress_file: str | None, gradient_file: str | None
) -> dict[str, float]:
    runner = build_runner(cfg)
    complete_hooks(runner)
    for hook in runner.hooks:
        if isinstance(hook, TrainingDataCheckHook):
            hook.take(warnings)
    # Not by the config, which a run keeps and which says what was trained.
    if progress_file is not None:
        runner.register_hook(ProgressFileHook(progress_file))
    if gradient_file is not None:
        runner.register_hook(GradientShareHook(gradient_file))
    runner.train()
    scalars = runner.message_hub.log_scalars
    return {
        name.removeprefix(_VALIDATION): float(scalars[name].current())
        for name in scalars
        if name.startswith(_VALIDATION) and name.removeprefix(_VALIDATION) not in _TIMES
    }


def _result(work_dir: Path, student: Path | None, metrics: dict[str, float]) -> TrainingResult:
    pointer = work_dir / "last_checkpoint"
    checkpoint = Path(pointer.read_text().strip()) if pointer.is_file() else None
    # The path is absolute, and in a folder that was copied it leads to the original.
    if checkpoint is not None and (work_dir / checkpoint.name).is_file():
        checkpoint = work_dir / checkpoint.name
    return TrainingResult(work_dir, checkpoint, student, metrics)


def _check_written_configs(cfg: Config) -> None:
    """Refuse a work directory where a copy of the config, or the student's, replaces another."""
    folder = Path(cfg.work_dir)
    written = [folder / Path(cfg.filename).name] if cfg.filename else []
    if cfg.model.type in WRAPPER_TYPES:
        hook = (cfg.get("default_hooks") or {}).get("export") or {}
        name = f"{hook.get('filename', 'student')}.py"
        written.append(Path(hook.get("out_dir") or folder, name))
    for file in written:
        refuse_to_replace(file, f"work_dir={str(folder)!r}")


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
    hook = (cfg.get("default_hooks") or {}).get("checkpoint") or {}
    if hook.get("max_keep_ckpts") == 1:
        print_log(
            "default_hooks.checkpoint.max_keep_ckpts=1: MMEngine removes the old checkpoint before "
            "it writes the new one, so a run killed in between has none to resume from; 2 is safe",
            "current",
            logging.WARNING,
        )
