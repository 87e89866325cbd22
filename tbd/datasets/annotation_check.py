"""What is wrong with an annotation file in COCO format, and with the images that it names.

MMDetection leaves out boxes without a word (of no area, of unknown categories, outside the image)
and lets others through that spoil a training (an infinite one makes an infinite loss). Here they
are counted by kind, with the first ids of each.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tbd.datasets.data_report import DataReport, Finding, Severity
from tbd.datasets.image_check import ImageCheck, image_faults

UNKNOWN = "boxes of a category that metainfo.classes does not name"
CORNERS = (
    "boxes that seem to be [x1, y1, x2, y2], since all fit their images so, and COCO's format has "
    "[x, y, width, height]"
)
OUTSIDE = "boxes outside their image"
BEYOND = "boxes of which more than a tenth is outside their image"
# A few boxes near the upper left can look like corners by chance, and a rounded one reach out.
_FEWEST_CORNERS, _SHARE_OUTSIDE = 10, 0.1

_NEEDED = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}


def read_annotations(file: str | Path) -> dict[str, Any]:
    """Read an annotation file in COCO format.

    Raises:
        ValueError: It is no whole JSON file, or none in COCO format. The message names the file.
    """
    data = Path(file).read_bytes()
    if not data:
        raise ValueError(f"{file} is empty; write or download it again.")
    if data.startswith(b"\xef\xbb\xbf"):
        raise ValueError(
            f"{file} begins with a byte order mark, which MMDetection cannot read; "
            "save it as UTF-8 without BOM, or let tbd check-data --fix write a copy."
        )
    try:
        # Not by json itself, which also reads UTF-16, as MMDetection does not.
        content = json.loads(data.decode())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{file} is no whole JSON file ({error}); it may be cut short: write or download it "
            "again."
        ) from error
    check_structure(content, file)
    return dict(content)


def check_structure(content: Any, file: str | Path) -> None:
    """Make sure that the parts of an annotation file are of the kinds that COCO format has.

    Raises:
        ValueError: One is missing or of another kind.
    """
    if not isinstance(content, dict):
        raise ValueError(
            f"{file} holds {_short(content)}, a {type(content).__name__}, and must be a dict of "
            "images, annotations and categories, as COCO format has."
        )
    for part, needed in _NEEDED.items():
        items = content.get(part)
        if not isinstance(items, list):
            raise ValueError(
                f"{file}: {part!r} must be a list, as in COCO format, and is "
                f"{'missing' if items is None else _short(items)}; write or download it again."
            )
        for index, item in enumerate(items):
            lacks = [key for key in needed if not isinstance(item, dict) or key not in item]
            if lacks:
                raise ValueError(
                    f"{file}: {part}[{index}]={_short(item)} lacks {', '.join(lacks)}; add "
                    f"{'it' if len(lacks) == 1 else 'them'}, or take the entry out."
                )
            for key in needed:
                is_id = isinstance(item[key], int | str) and not isinstance(item[key], bool)
                if key.endswith("id") and not is_id:
                    raise ValueError(
                        f"{file}: {part}[{index}].{key}={item[key]!r} must be an integer."
                    )
                if key == "name" and not isinstance(item[key], str):
                    raise ValueError(f"{file}: {part}[{index}].name={item[key]!r} must be a text.")


def check_annotations(
    content: Mapping[str, Any],
    file: str,
    classes: Sequence[str] | None = None,
    image_folder: str | Path | None = None,
    image_check: ImageCheck = "none",
) -> DataReport:
    """Count the faults of a data set in COCO format.

    Args:
        content: What :func:`read_annotations` returned.
        file: Its file, for the report.
        classes: Names of the classes that are learned. Default: all.
        image_folder: Folder of the images.
        image_check: How closely the images are looked at.

    Returns:
        The faults.
    """
    found: dict[tuple[str, Severity], list[Any]] = {}

    def note(kind: str, severity: Severity, item: Any) -> None:
        found.setdefault((kind, severity), []).append(item)

    for kind, item in _image_faults(content["images"]):
        note(kind, "stop", item)
    for item in _repeated(str(image["file_name"]) for image in content["images"]):
        note("images of a file that another has, whose boxes are background there", "note", item)
    for part, key in (("annotations", "id"), ("categories", "id"), ("categories", "name")):
        for item in _repeated(entry[key] for entry in content[part]):
            note(f"{part} with the {key} of another", "stop", item)
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    usable = 0
    corners = are_corners(content)
    for annotation in content["annotations"]:
        fault = box_fault(annotation, sizes, names)
        if corners:
            note(CORNERS, "stop", annotation["id"])
        elif fault is None and _share_outside(annotation, sizes) > _SHARE_OUTSIDE:
            note(BEYOND, "note", annotation["id"])
        if fault is not None:
            note(*fault, annotation["id"])
        elif annotation.get("iscrowd") or annotation.get("ignore"):
            note("crowd or ignored regions, which teach no box", "note", annotation["id"])
        elif classes is None or names[annotation["category_id"]] in classes:
            usable += 1
        else:
            note(UNKNOWN, "left out", annotation["id"])
    if image_folder is not None and image_check != "none":
        for image in content["images"]:
            path = Path(image_folder, str(image["file_name"]))
            for kind, severity in image_faults(path, sizes[image["id"]], image_check):
                note(kind, severity, image["file_name"])
    findings = tuple(Finding(kind, how, tuple(ids)) for (kind, how), ids in found.items())
    return DataReport(file, len(content["images"]), len(content["annotations"]), usable, findings)


def box_fault(
    annotation: Mapping[str, Any], sizes: Mapping[Any, tuple[Any, Any]], names: Mapping[Any, str]
) -> tuple[str, Severity] | None:
    """Say what is wrong with one box, and what comes of it, or None."""
    box = annotation["bbox"]
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(item) for item in box):
        return "boxes that are not four numbers", "stop"
    if any(math.isnan(item) for item in box):
        return "boxes with nan", "stop"
    if any(math.isinf(item) for item in box):
        return "infinite boxes", "stop"
    if annotation["image_id"] not in sizes:
        return "annotations of an image that is not in the file", "left out"
    if annotation["category_id"] not in names:
        return "annotations of a category that is not in the file", "left out"
    if "area" not in annotation or not _is_number(annotation["area"]):
        return "annotations without an area, which MMDetection reads", "stop"
    x, y, width, height = box
    if width < 0 or height < 0:
        return "boxes of negative width or height", "left out"
    if width < 1 or height < 1:
        return "boxes less than a pixel wide or high", "left out"
    if not annotation["area"] > 0:
        return "annotations whose area is not positive", "left out"
    whole_width, whole_height = sizes[annotation["image_id"]]
    if not (_is_number(whole_width) and _is_number(whole_height)):
        return None
    if x >= whole_width or y >= whole_height or x + width <= 0 or y + height <= 0:
        return OUTSIDE, "left out"
    return None


def are_corners(content: Mapping[str, Any]) -> bool:
    """Say whether the boxes of a file are ``[x1, y1, x2, y2]`` in place of COCO's form.

    They are taken for it where all make boxes within their images so, and one in ten or more would
    not within theirs as ``[x, y, width, height]``.

    Args:
        content: What :func:`read_annotations` returned.
    """
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    boxes = outside = 0
    for annotation in content["annotations"]:
        fault = box_fault(annotation, sizes, names)
        if fault is not None and fault[0] != OUTSIDE:
            continue
        left, top, right, bottom = annotation["bbox"]
        width, height = sizes[annotation["image_id"]]
        if not (_is_number(width) and _is_number(height)):
            continue
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            return False
        boxes += 1
        outside += _share_outside(annotation, sizes) > _SHARE_OUTSIDE
    return boxes >= _FEWEST_CORNERS and 10 * outside >= boxes


def _share_outside(annotation: Mapping[str, Any], sizes: Mapping[Any, tuple[Any, Any]]) -> float:
    """Share of a box's area that is outside its image, from 0 to 1."""
    x, y, width, height = annotation["bbox"]
    whole_width, whole_height = sizes[annotation["image_id"]]
    if not (_is_number(whole_width) and _is_number(whole_height)):
        return 0.0
    inside = max(0.0, min(x + width, whole_width) - max(x, 0.0))
    inside *= max(0.0, min(y + height, whole_height) - max(y, 0.0))
    return float(1 - inside / (width * height))


def _image_faults(images: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    for item in _repeated(image["id"] for image in images):
        yield "images with the id of another", item
    for image in images:
        sides = image["width"], image["height"]
        if not all(_is_number(side) and math.isfinite(side) and side > 0 for side in sides):
            yield "images whose width or height is no positive number", image["id"]
        if not isinstance(image["file_name"], str) or not image["file_name"]:
            yield "images without a file name", image["id"]


def _repeated(values: Iterator[Any]) -> Iterator[Any]:
    seen = set()
    for value in values:
        if value in seen:
            yield value
        seen.add(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
