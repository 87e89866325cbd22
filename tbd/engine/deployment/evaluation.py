"""AP of a detector and of what it was exported to, by the config's own evaluator.

MMDetection's detector sees each image as the config's test pipeline makes it. The exported one
starts from the image file, as it does where it is deployed.
"""

from collections.abc import Callable
from typing import Any

import mmcv
import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from tbd.engine.deployment.onnx_detector import OnnxDetector


def evaluate_detector(cfg: Config, detector: BaseDetector) -> dict[str, float]:
    """Measure MMDetection's detector on the test data of its config."""
    with torch.no_grad():
        return _evaluate(cfg, detector.test_step)


def evaluate_exported(cfg: Config, exported: OnnxDetector) -> dict[str, float]:
    """Measure an exported detector on the test data of the config that it came from."""

    def detect(data: dict[str, Any]) -> list[DetDataSample]:
        for sample in data["data_samples"]:
            found = exported(mmcv.imread(sample.img_path))
            sample.pred_instances = InstanceData(
                bboxes=torch.from_numpy(found.boxes),
                scores=torch.from_numpy(found.scores),
                labels=torch.from_numpy(found.labels).long(),
            )
        return data["data_samples"]

    return _evaluate(cfg, detect)


def _evaluate(
    cfg: Config, detect: Callable[[dict[str, Any]], list[DetDataSample]]
) -> dict[str, float]:
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmdet")):
        loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
        evaluator = Evaluator(cfg.test_evaluator)
    evaluator.dataset_meta = loader.dataset.metainfo
    for data in loader:
        evaluator.process(data_samples=detect(data), data_batch=data)
    metrics = evaluator.evaluate(len(loader.dataset))
    return {name: float(value) for name, value in metrics.items()}
