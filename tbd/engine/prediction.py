"""Detections drawn into images, by a checkpoint or an exported file."""

import logging
import os
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
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.logging import print_log
from mmengine.structures import InstanceData

from tbd.compat import load_checkpoint
from tbd.detectors import build_detector
from tbd.detectors.weights import load_strictly, without_pretrained
from tbd.engine.class_names import class_names
from tbd.engine.config import load_config, student_model
from tbd.engine.deployment import Detected, OnnxDetector
from tbd.files import replacing

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

_UNREADABLE = "{} is not an image that OpenCV reads{}"

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
        images: Image files, or folders of them; what is no image in a folder is passed over with a
            warning.
        out_dir: Folder for the pictures, ``<name of the image>.png``. None takes the place of an
            image.
        config: Config of the checkpoint. Default: the file beside it of the same name.
        score_thr: Smallest score that is drawn.
        options: ``--cfg-options``, see :func:`tbd.engine.load_config`.

    Returns:
        What was found, image by image.

    Raises:
        FileNotFoundError: The model, its config or an image does not exist.
        ValueError: A file that is named is no image, none of a folder is one, or the checkpoint
            does not fit its config.
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
        if image is None:
            print_log(_UNREADABLE.format(path, " and is passed over"), "current", logging.WARNING)
            continue
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
    if not predictions:
        raise ValueError(f"none of the {len(paths)} images is one that OpenCV reads; give others")
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
    cfg.model = student_model(cfg)
    detector = build_detector(without_pretrained(cfg.model)).eval()
    loaded = load_checkpoint(checkpoint)
    load_strictly(detector, loaded, f"checkpoint={checkpoint!r}")
    detector.cfg = cfg

    def detect(image: np.ndarray) -> Detected:
        found = inference_detector(detector, image).pred_instances
        return Detected(*(found[key].numpy() for key in ("bboxes", "scores", "labels")))

    return detect, class_names(cfg, loaded, detector)


def _read(path: Path) -> np.ndarray | None:
    """Read an image; None if it is none."""
    try:
        image = mmcv.imread(str(path))
    except cv2.error:  # of a file of zero bytes
        return None
    return None if image is None else np.asarray(image)


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
            if _read(path) is None:
                raise ValueError(_UNREADABLE.format(path, "; give another"))
            paths.append(path)
        else:
            raise FileNotFoundError(f"there is no image at {path.absolute()}")
    return paths


def _pictures(images: Sequence[Path], folder: Path) -> list[Path]:
    """A picture for each image; a number tells it from those of others, and from the images."""
    taken = {os.path.realpath(image) for image in images}
    seen: Counter[str] = Counter()
    pictures: list[Path] = []
    for image in images:
        picture = None
        while picture is None or os.path.realpath(picture) in taken:
            seen[image.stem] += 1
            number = f"_{seen[image.stem]}" if seen[image.stem] > 1 else ""
            picture = folder / f"{image.stem}{number}.png"
        taken.add(os.path.realpath(picture))
        pictures.append(picture)
    return pictures


def _sample(found: Detected) -> DetDataSample:
    instances = InstanceData(
        bboxes=torch.from_numpy(found.boxes),
        scores=torch.from_numpy(found.scores),
        labels=torch.from_numpy(found.labels).long(),
    )
    return DetDataSample(pred_instances=instances)
