"""That an exported student predicts in plain MMDetection what it predicted in the distillation."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmdet.apis import init_detector
from mmdet.models.detectors.base import BaseDetector
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner, find_latest_checkpoint
from torch import Tensor, nn

from tbd.compat import load_checkpoint
from tbd.detectors.tensors import tensors_in
from tbd.engine.export import export_student
from tbd.studies.pairs.probe import BrokenDistillationError


def check_export(config: str, cfg: Config, runner: Runner) -> None:
    """Export the student and compare its predictions in plain MMDetection with the model's.

    Args:
        config: Config file of the distillation.
        cfg: Config of the trial that was made of it.
        runner: The trial's, after the training.

    Raises:
        BrokenDistillationError: They differ.
    """
    checkpoint = find_latest_checkpoint(runner.work_dir)
    model = runner.model
    # Under EMA the checkpoint holds other weights than the model.
    model.load_state_dict(load_checkpoint(checkpoint)["state_dict"])
    export_student(
        config, checkpoint, runner.work_dir, options={"model": {**cfg.model, "_delete_": True}}
    )
    folder = Path(runner.work_dir)
    plain = init_detector(
        str(folder / "student.py"), str(folder / "student.pth"), device=get_device()
    )
    image = runner.train_dataloader.dataset[0]
    expected, found = (_predict(detector, image) for detector in (model, plain))
    if not expected:
        raise BrokenDistillationError(
            "The student predicts nothing, so its export cannot be compared."
        )
    same = len(expected) == len(found) and all(map(torch.equal, expected, found))
    if not same:
        raise BrokenDistillationError(
            "The exported student predicts something else in plain MMDetection."
        )


@torch.no_grad()
def _predict(detector: BaseDetector, image: Mapping[str, Any]) -> list[Tensor]:
    """Boxes, scores and labels, or the raw output where random weights give no valid box."""
    _lower_thresholds(detector)
    detector.eval()
    batch = dict(inputs=[image["inputs"]], data_samples=[copy.deepcopy(image["data_samples"])])
    data = detector.data_preprocessor(batch, False)
    instances = detector(**data, mode="predict")[0].pred_instances
    if len(instances):
        return [instances[key] for key in ("bboxes", "scores", "labels") if key in instances]
    return list(tensors_in(detector(**data, mode="tensor")))


def _lower_thresholds(detector: nn.Module) -> None:
    """Keep a few predictions of whatever score: random weights are not confident."""

    def lower(node: Any) -> None:
        if isinstance(node, dict):
            limits = dict(score_thr=0.0, conf_thr=0.0, nms_pre=100, max_per_img=20)
            node.update({key: value for key, value in limits.items() if key in node})
            for item in node.values():
                lower(item)

    for module in detector.modules():
        lower(getattr(module, "test_cfg", None))
