"""A cleaned copy of an annotation file in COCO format."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tbd.datasets.annotation_check import are_corners, box_fault, check_structure
from tbd.datasets.image_check import displayed_size, is_broken
from tbd.files import write_file


def repair(file: str | Path, out: str | Path, image_folder: str | Path | None = None) -> list[str]:
    """Write a copy of an annotation file without what :func:`check_annotations` finds.

    Left out are boxes that teach nothing or spoil a training, repeated ids after the first, and
    images that cannot be read, with their boxes. Corrected are areas that are missing or not
    positive (to width × height), sizes of images (to those of the files), and boxes that
    :func:`are_corners` takes for corners (to position and size).

    Args:
        file: The annotation file, which stays as it is. It may begin with a byte order mark.
        out: File to write.
        image_folder: Folder of the images. Default: they are not looked at.

    Returns:
        What was changed, a line for each kind.

    Raises:
        FileExistsError: ``out`` is there already, or is the file itself.
        ValueError: The file is not in COCO format at all.
    """
    if Path(out).exists():
        raise FileExistsError(
            f"--fix={str(out)!r} is there already; a cleaned copy replaces no file. Name another."
        )
    try:
        content = json.loads(Path(file).read_bytes().decode("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is no whole JSON file ({error}); nothing can be kept.") from error
    check_structure(content, file)
    changes: Counter[str] = Counter()

    def keep(items: list[Any], reason: str, wanted: Callable[[Any], bool]) -> list[Any]:
        kept = [item for item in items if wanted(item)]
        if len(kept) < len(items):
            changes[reason] += len(items) - len(kept)
        return kept

    for part in ("images", "annotations", "categories"):
        content[part] = keep(content[part], f"{part} of a repeated id left out", _first_of_its_id())
    if image_folder is not None:
        folder = Path(image_folder)
        content["images"] = keep(
            content["images"],
            "images that cannot be read left out",
            lambda image: not is_broken(folder / str(image["file_name"])),
        )
        for image in content["images"]:
            size = displayed_size(folder / image["file_name"])
            if size != (image["width"], image["height"]):
                image["width"], image["height"] = size
                changes["sizes of images corrected"] += 1
    if are_corners(content):
        for annotation in content["annotations"]:
            left, top, right, bottom = _four_numbers(annotation["bbox"])
            if annotation.get("area") == right * bottom:
                # Made of the corners too; it is made anew of the sides.
                annotation["area"] = None
            annotation["bbox"] = [left, top, right - left, bottom - top]
        changes["boxes read as [x1, y1, x2, y2]"] = len(content["annotations"])
    for annotation in content["annotations"]:
        _, _, width, height = _four_numbers(annotation["bbox"])
        area = annotation.get("area")
        if not isinstance(area, int | float) or not area > 0:
            annotation["area"] = width * height
            changes["areas set to width × height"] += 1
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    kept = []
    for annotation in content["annotations"]:
        fault = box_fault(annotation, sizes, names)
        if fault is None:
            kept.append(annotation)
        else:
            changes[f"{fault[0]} left out"] += 1
    content["annotations"] = kept
    try:
        text = json.dumps(content, allow_nan=False)
    except ValueError as error:
        raise ValueError(
            f"{file} has nan or infinity beside its boxes, say in a segmentation; remove it by "
            "hand."
        ) from error
    write_file(out, text)
    return [f"{count} {what}" for what, count in changes.items()]


def _first_of_its_id() -> Callable[[Any], bool]:
    seen: set[Any] = set()

    def first(item: Any) -> bool:
        new = item["id"] not in seen
        seen.add(item["id"])
        return new

    return first


def _four_numbers(box: Any) -> tuple[float, float, float, float]:
    if isinstance(box, list) and len(box) == 4 and all(isinstance(i, int | float) for i in box):
        return (box[0], box[1], box[2], box[3])
    return (0.0, 0.0, 0.0, 0.0)
