"""From a detector to an ONNX model that says of itself what it is."""

import copy
import importlib
from collections.abc import Mapping
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmengine.config import Config
from torch import Tensor, nn

from tbd.engine.class_names import class_names
from tbd.engine.deployment.graph import EndToEnd, Graph, build_detections, build_graph
from tbd.engine.deployment.image_input import read_image_input
from tbd.engine.deployment.limits import UnexportableError
from tbd.engine.deployment.metadata import ModelInfo
from tbd.engine.deployment.onnx_detector import with_properties
from tbd.engine.deployment.options import OnnxOptions
from tbd.engine.deployment.tracing import trace

# Three cells of stride 128: mmcv pads maps that are smaller than the kernel of a deformable
# convolution, and the trace would keep that for all sizes.
_LEAST_TRACED = 384


def describe(
    cfg: Config,
    detector: BaseDetector,
    loaded: Mapping[str, Any],
    name: str,
    how: OnnxOptions,
) -> ModelInfo:
    """Describe the file that a detector will become.

    Args:
        cfg: Full config of the plain detector.
        detector: The detector.
        loaded: Its checkpoint, for the names of the classes; empty where there is none.
        name: Of the config.
        how: How it is exported.

    Raises:
        UnexportableError: ONNX has no form for the detector.
        ValueError: The config does not say what the file needs.
    """
    graph = build_graph(detector)
    limits = build_detections(graph).limits if how.end_to_end else graph.limits
    return ModelInfo(
        detector=type(detector).__name__,
        config=name,
        classes=class_names(cfg, loaded, detector),
        image=read_image_input(cfg, how.input_size, how.dynamic),
        limits=limits,
        end_to_end=how.end_to_end,
        precision="float16" if how.half else "float32",
        # Not of the installation's metadata, which an editable one keeps from its first day.
        version=str(importlib.import_module("tbd").__version__),
    )


def make_model(detector: BaseDetector, info: ModelInfo, how: OnnxOptions) -> bytes:
    """Make the ONNX model of a detector, metadata in it.

    Args:
        detector: Plain detector in float32.
        info: What the file will say of itself.
        how: How it is exported, but for eight bits.

    Raises:
        UnexportableError: ONNX has no form for the detector.
    """
    if how.half:
        detector = copy.deepcopy(detector).half()
    graph = build_graph(detector, info.image)
    height, width = info.image.size
    if how.dynamic:
        height, width = max(height, _LEAST_TRACED), max(width, _LEAST_TRACED)
    if how.end_to_end:
        whole: nn.Module = EndToEnd(build_detections(graph), info.image, how.half).eval()
        example = torch.zeros(1, height, width, 3, dtype=torch.uint8)
        outputs, axes = ["boxes", "scores", "labels"], (0, 1, 2)
    else:
        whole = _HalfInput(graph).eval() if how.half else graph
        example = torch.zeros(1, 3, height, width)
        outputs, axes = ["boxes", "scores"], (0, 2, 3)
    try:
        model = trace(whole, example, outputs, how.opset, axes if how.dynamic else None)
    except RuntimeError as error:
        if not how.half:
            raise
        raise UnexportableError(
            f"--half: {info.detector} does not run in float16 ({error}). Leave --half out."
        ) from None
    return with_properties(model, info.properties())


class _HalfInput(nn.Module):
    """Takes float32 images into a graph of half precision."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.graph(images.half())
