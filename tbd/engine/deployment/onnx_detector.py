"""An exported file at work: images in, detections out, by onnxruntime."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tbd.engine.deployment.extra import import_extra
from tbd.engine.deployment.image_input import as_input
from tbd.engine.deployment.limits import Limits
from tbd.engine.deployment.metadata import ModelInfo
from tbd.engine.deployment.postprocessing import Candidates, Suppression, best_pairs
from tbd.engine.deployment.two_stage_graph import one_box_a_class


@dataclass(frozen=True)
class Detected:
    """The objects of one image, the surest first.

    Attributes:
        boxes: [D, 4] as ``x1, y1, x2, y2`` in pixels.
        scores: [D].
        labels: [D].
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def in_image(self, scale: tuple[float, float], size: tuple[int, int]) -> "Detected":
        """Move boxes from the graph's input to the image.

        Args:
            scale: Height and width of the resized image in parts of the image's.
            size: Height and width of the image, to which boxes are clipped.
        """
        high, wide = scale
        boxes = self.boxes / np.array([wide, high, wide, high], np.float32)
        limits = np.array([size[1], size[0], size[1], size[0]], np.float32)
        return Detected(np.clip(boxes, 0, limits), self.scores, self.labels)


class OnnxDetector:
    """Runs a file that ``tbd export --format onnx`` wrote.

    Args:
        model: Path of the file, or its content.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if onnxruntime is not installed.
        ValueError: if the file was not written by ``tbd export``, or onnxruntime cannot run it.

    Attributes:
        info: What the file says of itself.
        session: The session of onnxruntime, on the CPU.
    """

    def __init__(self, model: str | Path | bytes) -> None:
        runtime = import_extra("onnxruntime")
        name = "the model" if isinstance(model, bytes) else str(model)
        if not isinstance(model, bytes) and not Path(model).is_file():
            raise FileNotFoundError(f"there is no model at {Path(model).absolute()}")
        try:
            self.session = runtime.InferenceSession(
                model if isinstance(model, bytes) else str(model),
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:
            raise ValueError(
                f"onnxruntime {runtime.__version__} cannot run {name}: {error}"
            ) from None
        self.info = ModelInfo.from_properties(
            self.session.get_modelmeta().custom_metadata_map, name
        )

    def __call__(self, image: np.ndarray) -> Detected:
        """Detect objects in an image [h, w, 3] of bytes, blue, green, red."""
        prepared, (height, width) = self.info.image.prepare(image)
        found = self.detect(prepared)
        scale = height / image.shape[0], width / image.shape[1]
        return found.in_image(scale, image.shape[:2])

    def feed(self, prepared: np.ndarray) -> dict[str, np.ndarray]:
        """Make the graph's input of an image that is resized and padded, [H, W, 3]."""
        if self.info.end_to_end:
            return {"image": np.rint(prepared).astype(np.uint8)[None]}
        return {"image": as_input([prepared], self.info.image).numpy()}

    def outputs(self, prepared: np.ndarray) -> list[np.ndarray]:
        """Run the graph on an image that is resized and padded, [H, W, 3]."""
        return self.session.run(None, self.feed(prepared))

    def detect(self, prepared: np.ndarray) -> Detected:
        """Detect objects in an image that is resized and padded; boxes are in its pixels."""
        outputs = self.outputs(prepared)
        if self.info.end_to_end:
            boxes, scores, labels = (item[0] for item in outputs)
        else:
            all_boxes, all_scores = (torch.from_numpy(item) for item in outputs)
            chosen = choose(all_boxes, all_scores, self.info.limits)
            boxes, scores, labels = (item[0].numpy() for item in chosen)
        there = scores > 0
        return Detected(boxes[there], scores[there], labels[there])


def choose(boxes: Tensor, scores: Tensor, limits: Limits) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the detections among what a graph without suppression returned.

    Args:
        boxes: [N, M, 4], or [N, M, C, 4].
        scores: [N, M, C].
        limits: Which predictions become detections.

    Returns:
        See :meth:`tbd.engine.deployment.postprocessing.Suppression.forward`.
    """
    candidates: Candidates
    if boxes.dim() == 4:
        candidates = one_box_a_class(boxes, scores, limits.score_thr)
    else:
        candidates = best_pairs(boxes, scores, scores, limits.score_thr, limit=-1)
    suppress = Suppression(limits.iou_threshold, limits.max_per_img, limits.class_agnostic)
    return suppress(candidates)


def with_properties(model: bytes, properties: Mapping[str, str]) -> bytes:
    """Add metadata to an ONNX model."""
    onnx = import_extra("onnx")
    loaded = onnx.load_from_string(model)
    onnx.helper.set_model_props(loaded, dict(properties))
    return loaded.SerializeToString()
