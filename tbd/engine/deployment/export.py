"""``tbd export --format onnx``: from a config and a checkpoint to a verified ONNX file."""

import copy
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import DATASETS
from mmengine.config import Config
from torch import Tensor, nn

from tbd.compat import load_checkpoint
from tbd.detectors import build_detector
from tbd.detectors.classes import checkpoint_classes, count_classes
from tbd.detectors.weights import load_strictly, without_pretrained
from tbd.engine.config import config_name, load_config, student_model
from tbd.engine.data_check import check_data
from tbd.engine.deployment.evaluation import evaluate_detector, evaluate_exported
from tbd.engine.deployment.extra import import_extra
from tbd.engine.deployment.graph import EndToEnd, Graph, build_detections, build_graph
from tbd.engine.deployment.image_input import read_image_input
from tbd.engine.deployment.images import read_images, test_images
from tbd.engine.deployment.limits import UnexportableError
from tbd.engine.deployment.metadata import ModelInfo
from tbd.engine.deployment.onnx_detector import OnnxDetector, with_properties
from tbd.engine.deployment.quantization import quantize
from tbd.engine.deployment.tracing import DEFAULT_OPSET, check_opset, trace
from tbd.engine.deployment.two_stage_graph import TwoStageGraph
from tbd.engine.deployment.verification import (
    Agreement,
    Latency,
    compare_on,
    measure_latency,
    raw_agreement,
)
from tbd.files import write_file

_CALIBRATION_IMAGES = 64
_LARGEST_SHARE_MISSED = 0.1
_SMALLEST_SIDE = 32
# Three cells of stride 128: mmcv pads maps that are smaller than the kernel of a deformable
# convolution, and the trace would keep that for all sizes.
_LEAST_TRACED = 384


@dataclass(frozen=True)
class OnnxOptions:
    """How a detector is exported.

    Attributes:
        end_to_end: Normalisation, channel order and non-maximum suppression in the graph.
        dynamic: Any number of images of any size.
        half: Weights and features in float16; boxes and suppression stay float32.
        int8: Weights and features of convolutions and products in eight bits.
        input_size: Height and width of the input instead of those of the config.
        opset: Version of ONNX's operators.
        images: How many images the file is verified on.
        evaluate: Measure the AP of both on the test data.
        force: Overwrite a file that is there.
    """

    end_to_end: bool = False
    dynamic: bool = False
    half: bool = False
    int8: bool = False
    input_size: tuple[int, int] | None = None
    opset: int = DEFAULT_OPSET
    images: int = 4
    evaluate: bool = False
    force: bool = False


@dataclass(frozen=True)
class OnnxExport:
    """What was written, and how it compares with MMDetection's detector.

    Attributes:
        path: The file.
        info: What it says of itself.
        size: Bytes.
        origin: Where the images of the comparison came from.
        images: How many they were.
        agreement: Of its detections with MMDetection's.
        raw: Largest difference of a coordinate in pixels and of a score, before suppression; None
            for an end-to-end graph.
        latency: Of both.
        metrics: Of MMDetection's detector, of the file, and of the file before its quantization;
            empty where it was not asked for.
    """

    path: Path
    info: ModelInfo
    size: int
    origin: str
    images: int
    agreement: Agreement
    raw: tuple[float, float] | None
    latency: Latency
    metrics: dict[str, dict[str, float]]

    def report(self) -> str:
        """Everything above in lines to read."""
        found, time = self.agreement, self.latency
        spec = self.info.image
        size = "any size" if spec.dynamic else f"{spec.size[0]} x {spec.size[1]}"
        kind = "pixels to detections" if self.info.end_to_end else "images to boxes and scores"
        lines = [
            f"{self.path}: {self.info.detector}, {kind}, {size}, {self.info.precision}, "
            f"{self.size / 2**20:.1f} MiB",
            f"verified against MMDetection's predict on {self.images} {self.origin}:",
        ]
        if self.raw is not None:
            lines.append(
                f"  before suppression: boxes differ by {self.raw[0]:.2g} pixels, "
                f"scores by {self.raw[1]:.2g} at most"
            )
        lines.append(
            f"  detections: {found.detections - found.missed} of {found.detections} found; boxes "
            f"differ by {found.box:.2g} pixels, scores by {found.score:.2g} at most"
        )
        if self.raw is not None and found.missed:
            lines.append(
                "  (the file does not tell levels apart, and nms_pre, the most candidates of a "
                "level, is not kept; score_thr acts on scores that centerness and the like are "
                "part of; --end-to-end does both as MMDetection)"
            )
        lines += [
            f"latency of an image: MMDetection {1000 * time.torch:.1f} ms, "
            f"onnxruntime {1000 * time.onnx:.1f} ms (CPU, {time.threads} threads of PyTorch)",
        ]
        for name, metrics in self.metrics.items():
            shown = ", ".join(
                f"{key.rpartition('/')[2].replace('bbox_mAP', 'AP').replace('AP_', 'AP ')} "
                f"{_percent(value)}"
                for key, value in metrics.items()
                if "mAP" in key
            )
            lines.append(f"{name}: {shown}")
        if self.info.precision == "int8" and not self.metrics:
            lines.append("what 8 bits cost: --evaluate prints the AP before and after")
        return "\n".join(lines)


def export_onnx(
    config: str | Config,
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
    _check(how, path)
    cfg = load_config(config, options, needs_model=True)
    cfg.model = student_model(cfg)
    if how.evaluate:
        check_data(cfg, ("test",))
    detector = build_detector(without_pretrained(cfg.model)).cpu().eval()
    graph = build_graph(detector)
    if how.dynamic and not graph.dynamic:
        raise UnexportableError(
            f"--dynamic: {type(detector).__name__} computes positions from the size of the image "
            "while it is exported, so its graph has one size. Leave --dynamic out; "
            "--input-size HEIGHT WIDTH chooses the size."
        )
    # What cannot be exported is refused before anything is read.
    if how.end_to_end:
        build_detections(graph)
    read_image_input(cfg, how.input_size, how.dynamic)
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
        calibration = [
            image.prepare(item)[0] for item in read_images(cfg, "train", _CALIBRATION_IMAGES)
        ]
        info = replace(info, precision="int8")
        model = with_properties(quantize(exported, model, calibration), info.properties())
        exported = OnnxDetector(model)
        if how.evaluate:
            metrics["onnxruntime, int8"] = evaluate_exported(cfg, exported)
    raw = None
    # Proposals of nearly equal scores may change places, so two stages are compared at their end.
    if not (how.end_to_end or isinstance(graph, TwoStageGraph)):
        raw = raw_agreement(build_graph(detector, image), exported, prepared)
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


def _percent(value: float) -> str:
    # COCO's -1 says that there is no object of that kind.
    return f"{100 * value:.1f}" if value >= 0 else "–"


class _HalfInput(nn.Module):
    """Takes float32 images into a graph of half precision."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.graph(images.half())


def _check(how: OnnxOptions, path: Path) -> None:
    """Refuse at once what cannot be done."""
    for package in ("onnx", "onnxruntime"):
        import_extra(package)
    check_opset(how.opset)
    if how.half and how.int8:
        raise ValueError("--half and --int8: a file has one precision; choose one of them")
    if how.images < 1:
        raise ValueError(f"--images {how.images}: a file is verified on 1 image or more")
    if how.input_size is not None and min(how.input_size) < _SMALLEST_SIDE:
        height, width = how.input_size
        raise ValueError(
            f"--input-size {height} {width}: an image has at least {_SMALLEST_SIDE} pixels on each "
            "side, one cell of a detector's coarser features"
        )
    if path.exists() and not how.force:
        raise FileExistsError(f"{path} is there already; --force overwrites it")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"--out-dir: nothing can be written to {folder}")


def _refuse_difference(agreement: Agreement, raw: tuple[float, float] | None) -> None:
    wrong = agreement.missed > _LARGEST_SHARE_MISSED * agreement.detections
    problem = f"{agreement.missed} of {agreement.detections} detections are not found"
    if raw is not None:
        wrong = not (raw[0] <= 1.0 and raw[1] <= 0.01)
        problem = f"boxes differ by {raw[0]:.3g} pixels and scores by {raw[1]:.3g}"
    if wrong:
        raise ValueError(
            f"The exported graph does not predict what MMDetection's detector predicts: {problem}. "
            "Nothing was written."
        )


def class_names(cfg: Config, loaded: Mapping[str, Any], detector: BaseDetector) -> tuple[str, ...]:
    """Names of a detector's classes: those of its checkpoint, else those of its test data.

    Args:
        cfg: Full config of the plain detector.
        loaded: Its checkpoint.
        detector: The detector.

    Returns:
        A name for each label; its number where there are no names.

    Raises:
        ValueError: They are more or fewer than the detector tells apart.
    """
    count = count_classes(detector)
    names = checkpoint_classes(loaded)
    dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    if names is None:
        names = (dataset.get("metainfo") or {}).get("classes")
    if names is None and dataset.get("type"):
        kind = DATASETS.get(dataset["type"])
        names = (getattr(kind, "METAINFO", None) or {}).get("classes")
    if names is None or isinstance(names, str):
        names = tuple(str(label) for label in range(count or 0)) if names is None else (names,)
    if count is not None and len(names) != count:
        raise ValueError(
            f"The detector tells {count} classes apart, but {len(names)} have a name. Set "
            "test_dataloader.dataset.metainfo.classes to the classes that it was trained on."
        )
    return tuple(names)
