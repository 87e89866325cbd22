"""``tbd export --format onnx``: from a config and a checkpoint to a verified ONNX file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmdet.models.detectors.base import BaseDetector
from mmengine.config import Config

from tbd.compat import load_checkpoint
from tbd.detectors import build_detector
from tbd.detectors.weights import load_strictly, without_pretrained
from tbd.engine.config import config_name, load_config, student_model
from tbd.engine.data_check import check_data
from tbd.engine.deployment.evaluation import evaluate_detector, evaluate_exported
from tbd.engine.deployment.graph import build_detections, build_graph
from tbd.engine.deployment.image_input import read_image_input
from tbd.engine.deployment.images import read_images, test_images
from tbd.engine.deployment.limits import UnexportableError
from tbd.engine.deployment.metadata import ModelInfo
from tbd.engine.deployment.model import describe, make_model
from tbd.engine.deployment.onnx_detector import OnnxDetector, with_properties
from tbd.engine.deployment.options import OnnxOptions
from tbd.engine.deployment.quantization import quantize
from tbd.engine.deployment.result import OnnxExport
from tbd.engine.deployment.two_stage_graph import TwoStageGraph
from tbd.engine.deployment.verification import (
    Agreement,
    compare_on,
    measure_latency,
    raw_agreement,
)
from tbd.files import write_file

_CALIBRATION_IMAGES = 64
_LARGEST_SHARE_WRONG = 0.1


def export_onnx(
    config: str | Path | Config,
    checkpoint: str,
    out_dir: str,
    filename: str = "student",
    options: Mapping[str, Any] | None = None,
    how: OnnxOptions | None = None,
) -> OnnxExport:
    """Write a detector, or the student of a distillation, as an ONNX file, once it is verified.

    Args:
        config: Config file, or loaded config, of the detector or of the distillation.
        checkpoint: One of its checkpoints, a path or URL.
        out_dir: Folder for ``<filename>.onnx``.
        filename: Name of the file, without suffix.
        options: ``--cfg-options``, see :func:`tbd.engine.load_config`.
        how: How it is exported.

    Returns:
        What was written and measured.

    Raises:
        FileExistsError: The file is there, and ``force`` is not set.
        FileNotFoundError: The config, the checkpoint or data that is needed does not exist.
        ImportError: onnx or onnxruntime is not installed.
        UnexportableError: ONNX has no form for the detector.
        ValueError: Options contradict each other, the checkpoint does not fit, or the file does
            not predict what the detector predicts.
    """
    how = how or OnnxOptions()
    path = Path(out_dir) / f"{filename}.onnx"
    how.check(path)
    cfg = load_config(config, options, needs_model=True)
    cfg.model = student_model(cfg)
    if how.evaluate:
        check_data(cfg, ("test",))
    detector = build_detector(without_pretrained(cfg.model)).cpu().eval()
    # What cannot be exported is refused before anything is read.
    _refuse_unexportable(cfg, detector, how)
    loaded = load_checkpoint(checkpoint)
    load_strictly(detector, loaded, f"checkpoint={checkpoint!r}")
    info = describe(cfg, detector, loaded, config_name(config), how)
    image = info.image
    model = make_model(detector, info, how)
    exported = OnnxDetector(model)
    metrics: dict[str, dict[str, float]] = {}
    if how.evaluate:
        metrics["MMDetection"] = evaluate_detector(cfg, detector)
        metrics[f"onnxruntime, {info.precision}"] = evaluate_exported(cfg, exported)
    source = test_images(cfg, how.images)
    prepared = [image.prepare(item)[0] for item in source.images]
    if how.int8:
        info = replace(info, precision="int8")
        model = _quantized(cfg, exported, model, info)
        exported = OnnxDetector(model)
        if how.evaluate:
            metrics["onnxruntime, int8"] = evaluate_exported(cfg, exported)
    raw = None
    graph = build_graph(detector, image)
    # Proposals of nearly equal scores may change places, so two stages are compared at their end.
    if not (how.end_to_end or isinstance(graph, TwoStageGraph)):
        raw = raw_agreement(graph, exported, prepared)
    agreement = compare_on(detector, exported, prepared)
    if info.precision == "float32":
        _refuse_difference(agreement, raw)
    latency = measure_latency(detector, exported, prepared[0])
    try:
        write_file(path, model)
    except OSError as error:
        raise OSError(f"--out-dir: {path} cannot be written: {error}") from error
    return OnnxExport(
        path, info, len(model), source.origin, len(prepared), agreement, raw, latency, metrics
    )


def _refuse_unexportable(cfg: Config, detector: BaseDetector, how: OnnxOptions) -> None:
    graph = build_graph(detector)
    if how.dynamic and not graph.dynamic:
        raise UnexportableError(
            f"--dynamic: {type(detector).__name__} computes positions from the size of the image "
            "while it is exported, so its graph has one size. Leave --dynamic out; "
            "--input-size HEIGHT WIDTH chooses the size."
        )
    if how.end_to_end:
        build_detections(graph)
    read_image_input(cfg, how.input_size, how.dynamic)


def _quantized(cfg: Config, exported: OnnxDetector, model: bytes, info: ModelInfo) -> bytes:
    """The model in eight bits, whose ranges are those on images of the training data."""
    images = read_images(cfg, "train", _CALIBRATION_IMAGES)
    calibration = [info.image.prepare(item)[0] for item in images]
    return with_properties(quantize(exported, model, calibration), info.properties())


def _refuse_difference(agreement: Agreement, raw: tuple[float, float] | None) -> None:
    wrong = max(agreement.missed, agreement.extra) > _LARGEST_SHARE_WRONG * agreement.detections
    problem = (
        f"{agreement.missed} of {agreement.detections} detections are not found, "
        f"{agreement.extra} others are"
    )
    if raw is not None:
        wrong = not (raw[0] <= 1.0 and raw[1] <= 0.01)
        problem = f"boxes differ by {raw[0]:.3g} pixels and scores by {raw[1]:.3g}"
    if wrong:
        raise ValueError(
            f"The exported graph does not predict what MMDetection's detector predicts: {problem}. "
            "Nothing was written."
        )
