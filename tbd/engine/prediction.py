"""Detections drawn into images, by a checkpoint or an exported file."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmdet.apis import inference_detector
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.structures import InstanceData

from tbd.compat import load_checkpoint
from tbd.detectors import build_detector, resolve_model_config
from tbd.detectors.classes import checkpoint_classes
from tbd.detectors.weights import load_strictly, without_pretrained
from tbd.engine.config import load_config
from tbd.engine.deployment import Detected, OnnxDetector
from tbd.files import replacing

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

Detect = Callable[[np.ndarray], Detected]


@dataclass(frozen=True)
class Prediction:
    """What was found in one image.

    Attributes:
        image: Its path.
        picture: The image with boxes, classes and scores.
        found: The detections, in pixels of the image.
        counts: How many of each class reached the score that is drawn.
    """

    image: Path
    picture: Path
    found: Detected
    counts: dict[str, int]


def predict(
    model: str,
    images: Sequence[str],
    out_dir: str,
    config: str | None = None,
    score_thr: float = 0.3,
    options: Mapping[str, Any] | None = None,
) -> list[Prediction]:
    """Detect objects in images and draw them.

    Args:
        model: An ``.onnx`` file of ``tbd export``, or a checkpoint, of a distillation its student.
        images: Image files, or folders of them.
        out_dir: Folder for the pictures, ``<name of the image>.png``.
        config: Config of the checkpoint. Default: the file beside it of the same name.
        score_thr: Smallest score that is drawn.
        options: ``--cfg-options``, see :func:`tbd.engine.load_config`.

    Returns:
        What was found, image by image.

    Raises:
        FileNotFoundError: The model, its config or an image does not exist.
        ValueError: A file is no image, or the checkpoint does not fit its config.
    """
    if not 0 <= score_thr <= 1:
        raise ValueError(f"--score-thr {score_thr:g} must lie between 0 and 1, as scores do")
    paths = _find_images(images)
    if model.endswith(".onnx"):
        exported = OnnxDetector(model)
        detect: Detect = exported
        classes = exported.info.classes
    else:
        detect, classes = _load(model, config, options)
    visualizer = DetLocalVisualizer()
    visualizer.dataset_meta = dict(classes=classes, palette="random")
    predictions = []
    for path, picture in zip(paths, _pictures(paths, Path(out_dir)), strict=True):
        image = _read(path)
        found = detect(image)
        try:
            # MMEngine warns of every label that is wider than what is left of the image.
            with replacing(picture) as temporary, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                visualizer.add_datasample(
                    path.name,
                    mmcv.bgr2rgb(image),
                    _sample(found),
                    draw_gt=False,
                    pred_score_thr=score_thr,
                    out_file=str(temporary),
                )
        except OSError as error:
            raise OSError(f"--out-dir: {picture} cannot be written: {error}") from error
        counts = Counter(classes[label] for label in found.labels[found.scores >= score_thr])
        predictions.append(Prediction(path, picture, found, dict(counts)))
    return predictions


def _load(
    checkpoint: str, config: str | None, options: Mapping[str, Any] | None
) -> tuple[Detect, tuple[str, ...]]:
    if "://" not in checkpoint and not Path(checkpoint).is_file():
        raise FileNotFoundError(f"there is no model at {Path(checkpoint).absolute()}")
    if config is None:
        config = str(Path(checkpoint).with_suffix(".py"))
        if not Path(config).is_file():
            raise FileNotFoundError(
                f"there is no config beside {checkpoint}: give it with --config. (The one inside "
                "the checkpoint is a program, which is not run.)"
            )
    cfg = load_config(config, options, needs_model=True)
    cfg.model = resolve_model_config(cfg.model)
    detector = build_detector(without_pretrained(cfg.model)).eval()
    loaded = load_checkpoint(checkpoint)
    load_strictly(detector, loaded, f"checkpoint={checkpoint!r}")
    detector.cfg = cfg

    def detect(image: np.ndarray) -> Detected:
        found = inference_detector(detector, image).pred_instances
        return Detected(*(found[key].numpy() for key in ("bboxes", "scores", "labels")))

    return detect, checkpoint_classes(loaded) or _config_classes(cfg)


def _config_classes(cfg: Config) -> tuple[str, ...]:
    dataset = cfg.test_dataloader.dataset
    declared = (dataset.get("metainfo") or {}).get("classes")
    kind = DATASETS.get(dataset.type)
    return tuple(declared or kind.METAINFO["classes"])


def _read(path: Path) -> np.ndarray:
    try:
        image = mmcv.imread(str(path))
    except cv2.error:  # of a file of zero bytes
        image = None
    if image is None:
        raise ValueError(f"{path} is not an image that OpenCV reads; give another")
    return np.asarray(image)


def _find_images(names: Iterable[str]) -> list[Path]:
    paths: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise FileNotFoundError(f"there is no image ({', '.join(SUFFIXES)}) in {path}")
            paths += inside
        elif path.is_file():
            paths.append(path)
        else:
            raise FileNotFoundError(f"there is no image at {path.absolute()}")
    return paths


def _pictures(images: Sequence[Path], folder: Path) -> list[Path]:
    """A picture for each image; a number tells images of one name apart."""
    seen: Counter[str] = Counter()
    pictures = []
    for image in images:
        seen[image.stem] += 1
        number = f"_{seen[image.stem]}" if seen[image.stem] > 1 else ""
        pictures.append(folder / f"{image.stem}{number}.png")
    return pictures


def _sample(found: Detected) -> DetDataSample:
    instances = InstanceData(
        bboxes=torch.from_numpy(found.boxes),
        scores=torch.from_numpy(found.scores),
        labels=torch.from_numpy(found.labels).long(),
    )
    return DetDataSample(pred_instances=instances)
