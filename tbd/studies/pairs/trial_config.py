"""The config of a trial: that of a distillation, small enough for two steps on a CPU.

It is changed no more than it has to be: random weights in place of downloaded ones, scaled
widths, noise for data, two epochs of one step, terms at their full weights from the start. Model
options, losses, optimizer, learning rates and hooks are the config's own; the gradient is clipped.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict

from tbd.detectors import resolve_model_config
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.detectors.trial import leave_out_checkpoints
from tbd.detectors.weights import without_pretrained
from tbd.engine.config import load_config
from tbd.studies.pairs.random_boxes import RandomBoxesDataset
from tbd.studies.pairs.width_scaling import scale_widths

BATCH_SIZE = 2
IMAGE_SIZE = 128
EPOCHS = 2
"""Each has one step."""

_LEFT_OUT_HOOKS = (
    # It draws validation images.
    "tbd.HarmonyVisualizationHook",
    # A phase would take the whole trial.
    "tbd.ParaphraserPhaseHook",
    # It acts after the trial's end.
    "tbd.StopDistillationHook",
)


def trial_config(config: str, work_dir: str, full_width: bool = False) -> Config:
    """Make the config of a trial.

    Args:
        config: Config file of a distillation; a plain detector is distilled into itself.
        work_dir: Folder of the trial.
        full_width: Keep the detectors' widths.
    """
    cfg = load_config(config, needs_model=True)
    if cfg.model.type not in WRAPPER_TYPES:
        cfg.model = dict(type=WRAPPER_TYPES[0], student=cfg.model, teacher=cfg.model, distill={})
    model = cfg.model
    for role in ("student", "teacher"):
        if model[role] is None:
            continue
        detector = resolve_model_config(model[role], model.pop(f"{role}_options", None), key=role)
        detector = without_pretrained(detector)
        if "num_queries" in detector:
            # DINO chooses them among the cells of the image, of which a small one has fewer.
            detector.num_queries = min(detector.num_queries, 100)
        model[role] = detector if full_width else scale_widths(detector)
    leave_out_checkpoints(model)
    _use_every_phase(model.student)
    for term in (model.get("distill") or {}).values():
        # A warm-up is longer than the trial, in which every term is to be computed.
        if term is not None:
            term.pop("schedule", None)
    # The student is exported from the config itself, further down, and the probe looks at losses.
    cfg.default_hooks = {
        **(cfg.get("default_hooks") or {}),
        "export": None,
        "finite_check": None,
    }
    cfg.work_dir = work_dir
    cfg.experiment_name = Path(work_dir).name
    cfg.log_level = "ERROR"
    cfg.randomness = dict(seed=0)
    cfg.train_dataloader = dict(
        batch_size=BATCH_SIZE,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dict(
            type=f"tbd.{RandomBoxesDataset.__name__}",
            # A proposal network tells none apart.
            num_classes=max(_count_classes(model.student), 1),
            num_images=BATCH_SIZE,
            # A detector that needs a larger image says so for its probing too.
            size=model.get("probe_size", IMAGE_SIZE),
            with_masks=_loads_masks(cfg.train_dataloader),
        ),
    )
    for split in ("val", "test"):
        for part in ("dataloader", "cfg", "evaluator"):
            cfg[f"{split}_{part}"] = None
    hooks = cfg.get("custom_hooks") or []
    cfg.custom_hooks = [hook for hook in hooks if hook.type not in _LEFT_OUT_HOOKS]
    cfg.train_cfg.max_epochs = EPOCHS
    # Visualizers are global, by name; a later trial must not write to this one's folder.
    cfg.visualizer.name = cfg.experiment_name
    # All terms at once, on random weights, push harder than any config's own would.
    cfg.optim_wrapper.clip_grad = dict(max_norm=1.0)
    if not torch.cuda.is_available():
        _leave_mixed_precision(cfg.optim_wrapper)
    # Runners write their config down again and again, and formatting it takes longer than a step.
    return Config(cfg.to_dict(), format_python_code=False)


def _use_every_phase(student: ConfigDict) -> None:
    """Let phases and augmentations that set in late set in within the trial."""
    train_cfg = student.get("train_cfg") or {}
    if "initial_epoch" in train_cfg:
        train_cfg["initial_epoch"] = 1
    for augment in student.data_preprocessor.get("batch_augments") or ():
        if augment.type == "BatchSyncRandomResize":
            augment.update(interval=1, random_size_range=(IMAGE_SIZE - 32, IMAGE_SIZE))


def _loads_masks(node: Any) -> bool:
    """Whether a transform inside a data loader's config loads masks."""
    if isinstance(node, Mapping):
        return bool(node.get("with_mask")) or any(_loads_masks(item) for item in node.values())
    return isinstance(node, list | tuple) and any(_loads_masks(item) for item in node)


def _leave_mixed_precision(optim_wrapper: ConfigDict) -> None:
    if optim_wrapper.get("type") == "AmpOptimWrapper":
        optim_wrapper.type = "OptimWrapper"
        for key in ("loss_scale", "dtype", "use_fsdp"):
            optim_wrapper.pop(key, None)


def _count_classes(node: Any) -> int:
    """Largest ``num_classes`` inside a model config; an RPN's 1 is not what it tells apart."""
    if isinstance(node, Mapping):
        own = node.get("num_classes")
        return max([_count_classes(item) for item in node.values()] + [own or 0])
    if isinstance(node, list | tuple):
        return max([_count_classes(item) for item in node], default=0)
    return 0
