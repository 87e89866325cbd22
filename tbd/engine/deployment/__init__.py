"""Out of PyTorch: detectors as ONNX files, verified, and what runs them.

:mod:`~tbd.engine.deployment.graph` makes a graph of a detector, of one stage
(:mod:`~tbd.engine.deployment.dense_graph`), of two
(:mod:`~tbd.engine.deployment.two_stage_graph`) or of queries
(:mod:`~tbd.engine.deployment.query_graph`); :mod:`~tbd.engine.deployment.tracing` makes ONNX of it,
:mod:`~tbd.engine.deployment.quantization` integers. :mod:`~tbd.engine.deployment.onnx_detector`
runs the file, :mod:`~tbd.engine.deployment.verification` and
:mod:`~tbd.engine.deployment.evaluation` compare it with MMDetection's detector, and
:mod:`~tbd.engine.deployment.export` does all of that in order.

Needs the extra ``tbd[onnx]``, when it is used and not when it is imported.
"""

from tbd.engine.deployment.export import export_onnx
from tbd.engine.deployment.image_input import ImageInput
from tbd.engine.deployment.limits import Limits, UnexportableError
from tbd.engine.deployment.metadata import ModelInfo
from tbd.engine.deployment.onnx_detector import Detected, OnnxDetector
from tbd.engine.deployment.options import OnnxOptions
from tbd.engine.deployment.result import OnnxExport

__all__ = [
    "Detected",
    "ImageInput",
    "Limits",
    "ModelInfo",
    "OnnxDetector",
    "OnnxExport",
    "OnnxOptions",
    "UnexportableError",
    "export_onnx",
]
