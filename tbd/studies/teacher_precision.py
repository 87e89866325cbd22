"""How far the losses of a distillation move with the precision that its teacher runs in."""

import copy
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tbd.detectors import TeacherStudentDetector
from tbd.engine.runner import build_runner
from tbd.engine.wrappers import unwrap
from tbd.registry import MODELS


@dataclass(frozen=True)
class LossChange:
    """How a loss of a term changes over a run.

    Attributes:
        mean: Mean of the loss with the teacher as its config builds it, in float32.
        mean_change: Mean of |loss with the teacher as it is run − loss|.
        largest_change: The largest of these differences.
    """

    mean: float
    mean_change: float
    largest_change: float


def measure_loss_changes(cfg: Config, dtype: str, iterations: int) -> dict[str, LossChange]:
    """Train with the teacher as its config builds it, and at every step ask one that is run fast.

    Both see the same student, batch and random numbers.

    Args:
        cfg: The config of a distillation with its data, changed in place.
        dtype: Precision of the other teacher, which is run by the defaults: ``"fp32"``, ``"bf16"``
            or ``"fp16"``.
        iterations: Steps of training.

    Returns:
        Loss of a term, ``<term>.<loss>`` → how it changes.

    Raises:
        ValueError: if the teacher has no checkpoint; two random ones would differ.
    """
    if cfg.model.get("teacher_ckpt") is None:
        raise ValueError("model.teacher_ckpt is not set: name the checkpoint of a trained teacher.")
    other_config = copy.deepcopy(cfg.model)
    other_config.teacher_execution = dict(dtype=dtype)
    cfg.model.teacher_execution = dict(fold_norms=False, pack_weights=False)
    other = MODELS.build(other_config).train()
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations)
    for part in ("val", "test"):
        for key in ("cfg", "dataloader", "evaluator"):
            cfg.pop(f"{part}_{key}", None)
    cfg.custom_hooks = []
    never = dict(type="CheckpointHook", interval=-1, save_last=False, by_epoch=False)
    cfg.default_hooks = dict(checkpoint=never)
    cfg.log_level = "WARNING"
    # MMEngine keeps one visualizer of each name, with its folder.
    cfg.pop("visualizer", None)
    hook = _BothTeachersHook(other)
    with TemporaryDirectory() as folder:
        cfg.work_dir = folder
        runner = build_runner(cfg)
        runner.register_hook(hook)
        runner.train()
    return {name: _summarize(pairs) for name, pairs in hook.losses.items()}


@dataclass
class _BothTeachersHook(Hook):
    other: TeacherStudentDetector
    losses: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        model = unwrap(runner.model)
        self.other.load_state_dict(model.state_dict())
        self.other.to(next(model.parameters()).device)
        data = model.data_preprocessor(copy.deepcopy(data_batch), True)
        exact, fast = (_losses(each, data, runner.iter) for each in (model, self.other))
        for name, value in exact.items():
            self.losses.setdefault(name, []).append((value, fast[name]))


@torch.no_grad()
def _losses(model: TeacherStudentDetector, data: Mapping[str, Any], seed: int) -> dict[str, float]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        views = model.observe(data["inputs"], data["data_samples"])()
        return {
            f"{name}.{key}": float(value)
            for name, term in model.terms.items()
            for key, value in term(*views).items()
            if "loss" in key
        }


def _summarize(pairs: list[tuple[float, float]]) -> LossChange:
    changes = [abs(half - exact) for exact, half in pairs]
    return LossChange(
        statistics.mean(exact for exact, _ in pairs), statistics.mean(changes), max(changes)
    )
