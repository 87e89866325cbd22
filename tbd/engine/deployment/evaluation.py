"""AP of a detector and of what it was exported to, by the config's own evaluator.

MMDetection's detector sees each image as the config's test pipeline makes it. The exported one
starts from the image file, as it does where it is deployed.
"""

import tempfile
from typing import Any

import mmcv
import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from tbd.engine.deployment.onnx_detector import OnnxDetector
from tbd.engine.runner import build_runner


def evaluate_detector(cfg: Config, detector: BaseDetector) -> dict[str, float]:
    """Measure MMDetection's detector on the test data of its config."""
    with tempfile.TemporaryDirectory() as folder:
        runner = _build_runner(cfg, folder)
        runner.model.load_state_dict(detector.state_dict())
        return _metrics(runner)


def evaluate_exported(cfg: Config, exported: OnnxDetector) -> dict[str, float]:
    """Measure an exported detector on the test data of the config that it came from."""
    with tempfile.TemporaryDirectory() as folder:
        runner = _build_runner(cfg, folder)

        def detect(data: dict[str, Any]) -> list[DetDataSample]:
            for sample in data["data_samples"]:
                found = exported(mmcv.imread(sample.img_path))
                sample.pred_instances = InstanceData(
                    bboxes=torch.from_numpy(found.boxes),
                    scores=torch.from_numpy(found.scores),
                    labels=torch.from_numpy(found.labels).long(),
                )
            return data["data_samples"]

        runner.model.test_step = detect
        return _metrics(runner)


def _build_runner(cfg: Config, folder: str) -> Runner:
    cfg = cfg.copy()
    cfg.work_dir = folder
    cfg.load_from, cfg.resume = None, False
    # How the training distributes the model, say network by network, is of no use here.
    cfg.pop("model_wrapper_cfg", None)
    return build_runner(cfg)


def _metrics(runner: Runner) -> dict[str, float]:
    return {name: float(value) for name, value in runner.test().items()}
