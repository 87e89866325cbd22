"""The embedded data set: generated images of coloured shapes, in COCO format.

Each image holds a few circles, squares, triangles, stars and crosses of random size, tilt and
colour, which may overlap, on a noisy background with strokes and specks that belong to no class.
The hues of a class lie around one of its own and overlap with its neighbours'.
Small enough to train on from random weights in minutes on a CPU, hard enough to tell detectors
apart.

On disk one split is one folder, which appears only when it is complete::

    <root>/<split>/annotations.json     boxes, polygons, and the parameters they were made with
    <root>/<split>/images/000000.png    …

Boxes, polygons and areas describe the full extent of a shape, also where a later one covers it;
of every shape at least half stays visible. All shapes lie inside the image.
"""

from __future__ import annotations

import colorsys
import dataclasses
import json
import math
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmdet.datasets import CocoDataset
from mmengine.logging import print_log
from mmengine.utils import ProgressBar

from tbd.arguments import check_arguments
from tbd.registry import DATASETS

CLASSES = ("circle", "square", "triangle", "star", "cross")
SPLITS = ("train", "val", "test")

_FORMAT = 1
_SUPERSAMPLING = 4
_MIN_VISIBLE = 0.5
_MAX_TRIES = 200
_NOISE = 6
_MAX_TILT = math.radians(20)
_MIN_CONTRAST = 60
# Of a class's hue around its own fifth of the colour circle, in turns: wide enough that hues of
# neighbouring classes overlap, so that a detector has to look at the shape as well.
_HUE_SPREAD = 0.125


def _star_outline(radii: tuple[float, ...], num_points: int, turn: float = 0.0) -> np.ndarray:
    angles = [2 * math.pi * (i + turn) / num_points for i in range(num_points)]
    return np.array(
        [
            (radii[i % len(radii)] * math.sin(a), -radii[i % len(radii)] * math.cos(a))
            for i, a in enumerate(angles)
        ]
    )


def _cross_outline(arm: float) -> np.ndarray:
    tip = math.sqrt(1 - arm**2)
    quarter = np.array([(-arm, -tip), (arm, -tip), (arm, -arm)])
    turns = [np.array([[0, 1], [-1, 0]]), np.array([[-1, 0], [0, -1]]), np.array([[0, -1], [1, 0]])]
    return np.concatenate([quarter, *(quarter @ turn for turn in turns)])


# All outlines reach the unit circle, so that every class has the same extent at the same size.
_OUTLINES = {
    "circle": _star_outline((1.0,), 48),
    "square": _star_outline((1.0,), 4, turn=0.5),
    "triangle": _star_outline((1.0,), 3),
    "star": _star_outline((1.0, 0.45), 10),
    "cross": _cross_outline(0.3),
}


@dataclass(frozen=True)
class ShapesParameters:
    """What one split of the shapes set looks like; equal parameters give equal files.

    Args:
        split: ``"train"``, ``"val"`` or ``"test"``. Splits of one seed share no image.
        num_images: Number of images. A longer split begins with the images of a shorter one.
        image_size: Width and height in pixels, at least 32 each.
        min_shapes: Fewest shapes in an image, 0 or more.
        max_shapes: Most shapes in an image. Where the drawn number does not fit without hiding
            an earlier shape, the image holds fewer, but never fewer than ``min_shapes``.
        shape_size: Smallest and largest diameter of a shape's circumscribed circle, as a
            fraction of the image's shorter side.
        seed: Seed of the random numbers, 0 or more.
        imbalance: How many times as frequent the first class is as the last, at least 1; from
            class to class frequencies fall by the same factor. 1: all classes alike.

    Raises:
        ValueError: A parameter is out of its range.
    """

    split: str = "train"
    num_images: int = 600
    image_size: tuple[int, int] = (128, 128)
    min_shapes: int = 1
    max_shapes: int = 6
    shape_size: tuple[float, float] = (0.12, 0.42)
    seed: int = 0
    imbalance: float = 1.0

    def __post_init__(self) -> None:
        # Lists come from configs and JSON; tuples keep the parameters comparable and hashable.
        object.__setattr__(self, "image_size", tuple(self.image_size))
        object.__setattr__(self, "shape_size", tuple(self.shape_size))
        checks = {
            "split": (self.split in SPLITS, f"one of {', '.join(SPLITS)}"),
            "num_images": (self.num_images >= 1, "at least 1"),
            "image_size": (
                len(self.image_size) == 2 and min(self.image_size) >= 32,
                "width and height of at least 32 pixels",
            ),
            "min_shapes": (self.min_shapes >= 0, "at least 0"),
            "max_shapes": (
                self.max_shapes >= max(self.min_shapes, 1),
                f"at least 1 and at least min_shapes ({self.min_shapes})",
            ),
            "shape_size": (
                len(self.shape_size) == 2 and 0 < self.shape_size[0] <= self.shape_size[1] <= 0.9,
                "two fractions, 0 < smallest <= largest <= 0.9",
            ),
            "seed": (self.seed >= 0, "at least 0"),
            "imbalance": (1 <= self.imbalance < math.inf, "a finite number of at least 1"),
        }
        for name, (valid, wanted) in checks.items():
            if not valid:
                raise ValueError(
                    f"shapes: {name} must be {wanted}, but is {getattr(self, name)!r}."
                )

    @property
    def class_frequencies(self) -> np.ndarray:
        """Probability of each class of ``CLASSES`` for a drawn shape."""
        weights = self.imbalance ** -np.linspace(0, 1, len(CLASSES))
        return weights / weights.sum()


@dataclass(frozen=True)
class Shape:
    """One drawn shape.

    Args:
        label: Index into ``CLASSES``.
        polygon: Outline [P, 2] in pixels (x, y); pixel i covers [i, i + 1).
    """

    label: int
    polygon: np.ndarray

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Tight box (x, y, width, height) in pixels."""
        low, high = self.polygon.min(axis=0), self.polygon.max(axis=0)
        return (*low.tolist(), *(high - low).tolist())

    @property
    def area(self) -> float:
        """Area of the polygon in square pixels (shoelace formula)."""
        x, y = self.polygon.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _coverage(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    """Number of sub-pixels [height, width] that the polygon covers, 0 to _SUPERSAMPLING²."""
    s = _SUPERSAMPLING
    # Only the polygon's surroundings are drawn: most shapes are much smaller than the image.
    left, top = np.floor(polygon.min(axis=0)).astype(int).clip(0, (width - 1, height - 1))
    right, bottom = (
        np.ceil(polygon.max(axis=0)).astype(int).clip((left + 1, top + 1), (width, height))
    )
    # OpenCV's integer coordinates are pixel centres; 4 fractional bits keep sub-pixel precision.
    fixed = np.rint(((polygon - (left, top)) * s - 0.5) * 16).astype(np.int32)
    canvas = np.zeros(((bottom - top) * s, (right - left) * s), dtype=np.uint8)
    cv2.fillPoly(canvas, [fixed], 1, shift=4)
    coverage = np.zeros((height, width), dtype=np.int32)
    coverage[top:bottom, left:right] = canvas.reshape(bottom - top, s, right - left, s).sum((1, 3))
    return coverage


def _paint(image: np.ndarray, coverage: np.ndarray, colour: np.ndarray) -> None:
    """Blend a colour into an int32 image in place; integers only, so exact on every machine."""
    full = _SUPERSAMPLING**2
    weight = coverage[..., None]
    image[:] = ((full - weight) * image + weight * colour + full // 2) // full


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    corners = rng.integers(90, 166, size=(4, 3))
    y = np.arange(height)[:, None, None]
    x = np.arange(width)[None, :, None]
    top = corners[0] * (width - 1 - x) + corners[1] * x
    bottom = corners[2] * (width - 1 - x) + corners[3] * x
    blend = top * (height - 1 - y) + bottom * y
    return (blend // ((height - 1) * (width - 1))).astype(np.int32)


def _add_clutter(rng: np.random.Generator, image: np.ndarray, count: int) -> None:
    """Paint thin strokes and specks, which belong to no class."""
    height, width = image.shape[:2]
    for _ in range(count):
        centre = rng.uniform((0, 0), (width, height))
        angle = rng.uniform(0, 2 * math.pi)
        half_length = rng.uniform(0.01, 0.25) * min(height, width)
        half_thickness = rng.uniform(0.5, 1.5)
        along = np.array([math.cos(angle), math.sin(angle)])
        across = np.array([-along[1], along[0]]) * half_thickness
        ends = centre + half_length * along, centre - half_length * along
        polygon = np.array([ends[0] + across, ends[1] + across, ends[1] - across, ends[0] - across])
        _paint(image, _coverage(polygon, height, width), rng.integers(0, 256, size=3))


def _random_shape(rng: np.random.Generator, parameters: ShapesParameters) -> Shape:
    width, height = parameters.image_size
    if parameters.imbalance == 1:
        # Not choice(), which would draw other images than sets already written hold.
        label = int(rng.integers(len(CLASSES)))
    else:
        label = int(rng.choice(len(CLASSES), p=parameters.class_frequencies))
    radius = rng.uniform(*parameters.shape_size) * min(width, height) / 2
    angle = rng.uniform(-_MAX_TILT, _MAX_TILT)
    rotation = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    outline = radius * (_OUTLINES[CLASSES[label]] @ rotation)
    centre = rng.uniform(-outline.min(axis=0), (width, height) - outline.max(axis=0))
    return Shape(label, np.round(outline + centre, 2).clip(0, (width, height)))


def _distinct_colour(
    rng: np.random.Generator, label: int, image: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """A random colour near the class's hue that differs from what it will be painted on."""
    mean = image[inside].mean(axis=0)
    while True:
        hue = label / len(CLASSES) + rng.uniform(-_HUE_SPREAD, _HUE_SPREAD)
        red, green, blue = colorsys.hsv_to_rgb(hue % 1, *rng.uniform(0.5, 1, size=2))
        colour = np.rint(255 * np.array([blue, green, red])).astype(np.int64)
        if np.abs(colour - mean).max() >= _MIN_CONTRAST:
            return colour


def draw_image(parameters: ShapesParameters, index: int) -> tuple[np.ndarray, list[Shape]]:
    """Draw one image of a split.

    Args:
        parameters: The split.
        index: Number of the image in the split, from 0.

    Returns:
        The image [H, W, 3], uint8, BGR, and its shapes in the order of drawing.

    Raises:
        ValueError: ``min_shapes`` shapes do not fit without hiding one another.
    """
    width, height = parameters.image_size
    rng = np.random.default_rng([parameters.seed, SPLITS.index(parameters.split), index])
    image = _background(rng, height, width)
    _add_clutter(rng, image, count=int(rng.integers(1, 5)))

    wanted = int(rng.integers(parameters.min_shapes, parameters.max_shapes + 1))
    shapes: list[Shape] = []
    full_areas: list[int] = []
    visible: list[np.ndarray] = []
    for _ in range(_MAX_TRIES):
        if len(shapes) == wanted:
            break
        shape = _random_shape(rng, parameters)
        coverage = _coverage(shape.polygon, height, width)
        inside = coverage * 2 >= _SUPERSAMPLING**2
        remaining = [mask & ~inside for mask in visible]
        if any(
            mask.sum() < _MIN_VISIBLE * area
            for mask, area in zip(remaining, full_areas, strict=True)
        ):
            continue
        _paint(image, coverage, _distinct_colour(rng, shape.label, image, inside))
        shapes.append(shape)
        full_areas.append(int(inside.sum()))
        visible = [*remaining, inside]
    if len(shapes) < parameters.min_shapes:
        raise ValueError(
            f"shapes: only {len(shapes)} shapes fit into image {index}, but min_shapes is "
            f"{parameters.min_shapes}; lower min_shapes or shape_size {parameters.shape_size}."
        )
    image += rng.integers(-_NOISE, _NOISE + 1, size=image.shape, dtype=np.int32)
    return image.clip(0, 255).astype(np.uint8), shapes


def _annotations(parameters: ShapesParameters, drawn: list[list[Shape]]) -> dict[str, Any]:
    width, height = parameters.image_size
    return {
        "info": {
            "description": "Generated shapes",
            "format": _FORMAT,
            "parameters": dataclasses.asdict(parameters),
        },
        "licenses": [],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)],
        "images": [
            {"id": i + 1, "file_name": f"{i:06d}.png", "width": width, "height": height}
            for i in range(len(drawn))
        ],
        "annotations": [
            {
                "id": annotation_id,
                "image_id": image_id,
                "category_id": shape.label + 1,
                "bbox": [round(v, 2) for v in shape.box],
                "area": round(shape.area, 2),
                "segmentation": [[round(v, 2) for v in shape.polygon.ravel().tolist()]],
                "iscrowd": 0,
            }
            for annotation_id, (image_id, shape) in enumerate(
                ((i + 1, shape) for i, shapes in enumerate(drawn) for shape in shapes), start=1
            )
        ],
    }


def _check_written(folder: Path, parameters: ShapesParameters) -> None:
    """Refuse a folder that holds something other than the wanted split."""
    advice = f"Delete {folder} to have it written again, or set another data_root."
    try:
        info = json.loads((folder / "annotations.json").read_text())["info"]
        written_format, written = info["format"], ShapesParameters(**info["parameters"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder} exists but is not a shapes split ({error!r}). {advice}"
        ) from error
    if written_format != _FORMAT:
        raise ValueError(
            f"{folder} was written in format {written_format}, but this version writes format "
            f"{_FORMAT}. {advice}"
        )
    differing = [
        f"{field.name} is {getattr(written, field.name)!r} there, "
        f"but {getattr(parameters, field.name)!r} is asked for"
        for field in dataclasses.fields(parameters)
        if getattr(written, field.name) != getattr(parameters, field.name)
    ]
    if differing:
        raise ValueError(f"{folder} holds another shapes split: {'; '.join(differing)}. {advice}")


def write_shapes(root: str | os.PathLike[str], parameters: ShapesParameters) -> Path:
    """Write one split of the shapes set, unless it is there already.

    The split is drawn into a temporary folder beside its place and renamed when complete: an
    interrupted run leaves no split behind, and of several processes that start at once one wins
    and the others use what it wrote.

    Args:
        root: Folder of the data set; the split becomes a folder in it.
        parameters: What to write.

    Returns:
        The folder of the split.

    Raises:
        ValueError: The folder exists and holds a split of other parameters, or something else.
    """
    folder = Path(root) / parameters.split
    if folder.exists():
        _check_written(folder, parameters)
        return folder

    folder.parent.mkdir(parents=True, exist_ok=True)
    print_log(f"Writing {parameters.num_images} images of shapes to {folder}", logger="current")
    temporary = Path(tempfile.mkdtemp(prefix=f".{parameters.split}-", dir=folder.parent))
    try:
        _write_split(temporary, parameters)
        # mkdtemp makes folders that only their owner may enter; data sets are shared.
        temporary.chmod(0o755)
        temporary.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        _check_written(folder, parameters)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _write_split(folder: Path, parameters: ShapesParameters) -> None:
    (folder / "images").mkdir()
    progress = ProgressBar(parameters.num_images)
    drawn = []
    for index in range(parameters.num_images):
        image, shapes = draw_image(parameters, index)
        path = folder / "images" / f"{index:06d}.png"
        if not cv2.imwrite(str(path), image):
            raise OSError(f"OpenCV could not write {path}.")
        drawn.append(shapes)
        progress.update()
    print(flush=True)
    (folder / "annotations.json").write_text(json.dumps(_annotations(parameters, drawn)))


@DATASETS.register_module()
class ShapesDataset(CocoDataset):
    """The shapes set as a COCO data set; writes its split to disk when it is first loaded.

    Args:
        data_root: Folder of the data set, as a rule ``data/shapes/``.
        split: ``"train"``, ``"val"`` or ``"test"``; decides on the annotation file and the image
            folder.
        shapes: The other arguments of :class:`ShapesParameters`, where they differ from its
            defaults.
        **kwargs: Arguments of :class:`mmdet.datasets.CocoDataset`, such as ``pipeline``.

    Raises:
        ValueError: A parameter is out of its range, or the folder on disk was written with
            other parameters.
        TypeError: ``shapes`` holds an unknown key.
    """

    generates_data = True  # Nothing to look for on disk before the first use.

    METAINFO = {  # noqa: RUF012 - MMEngine's own form
        "classes": CLASSES,
        # The Okabe-Ito colours, which stay apart for colour-blind eyes.
        "palette": [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167)],
    }

    def __init__(
        self,
        data_root: str,
        split: str = "train",
        shapes: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_arguments(ShapesParameters, (), {"split": split, **(shapes or {})}, "shapes")
        self.parameters = ShapesParameters(split=split, **(shapes or {}))
        super().__init__(
            data_root=data_root,
            ann_file=f"{split}/annotations.json",
            data_prefix={"img": f"{split}/images/"},
            **kwargs,
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """Write the split if it is absent, then load it as COCO data sets are loaded."""
        write_shapes(self.data_root, self.parameters)
        data_list: list[dict[str, Any]] = super().load_data_list()
        return data_list
