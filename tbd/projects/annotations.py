"""Annotations in COCO's format: read, looked through, split."""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tbd.datasets.annotation_check import check_structure

_SHOWN = 3
TRIED = 20
"""Names of images that are looked for, to find the folder of all of them."""


@dataclass(frozen=True)
class Annotations:
    """One annotation file, as a whole.

    Attributes:
        content: What it holds: ``images``, ``annotations``, ``categories``.
        images: Folder that the names of its images are relative to.
        file: The file itself; None for what was made here and is still to be written.
    """

    content: Mapping[str, Any]
    images: Path
    file: Path | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the categories in the file's order, in which MMDetection numbers them."""
        return tuple(str(category["name"]) for category in self.content["categories"])

    def boxes_by_class(self) -> dict[str, int]:
        """Name of the class → number of boxes."""
        names = {category["id"]: str(category["name"]) for category in self.content["categories"]}
        counts = Counter(names[a["category_id"]] for a in self.content["annotations"])
        return {name: counts[name] for name in names.values()}

    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of every image, in pixels."""
        return [(image["width"], image["height"]) for image in self.content["images"]]

    def reaching_out(self) -> list[Any]:
        """Ids of the boxes that lie partly outside of their image."""
        sizes = {image["id"]: (image["width"], image["height"]) for image in self.content["images"]}
        found = []
        for annotation in self.content["annotations"]:
            x, y, width, height = annotation["bbox"]
            right, bottom = sizes[annotation["image_id"]]
            inside = x >= -1 and y >= -1 and x + width <= right + 1 and y + height <= bottom + 1
            seen = x < right and y < bottom and x + width > 0 and y + height > 0
            if seen and not inside:
                found.append(annotation["id"])
        return found

    def with_classes(self, classes: Sequence[str]) -> "Annotations":
        """The same with the categories in another order, numbered from 1.

        Raises:
            ValueError: A class is missing there.
        """
        missing = [name for name in self.classes if name not in classes]
        if missing:
            raise ValueError(
                f"{self.file or self.images} has {counted(missing, 'class', 'classes')} that the "
                f"training set lacks: {shown(missing)}. Add to the categories of the training set, "
                "or take out here, what is missing there."
            )
        numbers = {name: number for number, name in enumerate(classes, 1)}
        old = {category["id"]: str(category["name"]) for category in self.content["categories"]}
        content = {
            **self.content,
            "categories": [{"id": number, "name": name} for name, number in numbers.items()],
            "annotations": [
                {**annotation, "category_id": numbers[old[annotation["category_id"]]]}
                for annotation in self.content["annotations"]
            ],
        }
        return replace(self, content=content, file=None)


def check_annotations(content: Mapping[str, Any], file: Path) -> None:
    """Check that an annotation file is whole.

    Args:
        content: What it holds.
        file: The file, for messages.

    Raises:
        ValueError: It is not of COCO's format, or refers to images or categories that it lacks.
    """
    check_structure(_numbered(content), file)
    ids = {image["id"] for image in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    lost = [
        annotation.get("id", f"annotations[{index}]")
        for index, annotation in enumerate(content["annotations"])
        if annotation["image_id"] not in ids
        or annotation["category_id"] not in categories
        or not _is_box(annotation["bbox"])
    ]
    names = [category["name"].strip() for category in content["categories"]]
    if lost:
        raise ValueError(
            f"{file}: {counted(lost, 'annotation')} of an image or a category that is not in the "
            f"file, or without a box of four finite numbers; ids {shown(lost)}. Mend them or take "
            f"them out; tbd check-data {file} tells them apart."
        )
    twice = sorted(name for name, count in Counter(names).items() if count > 1 or not name)
    if twice:
        raise ValueError(
            f"{file}: categories need names that differ; nameless or named twice: "
            f"{shown([repr(name) for name in twice])}."
        )
    if not content["images"] or not content["annotations"]:
        raise ValueError(
            f"{file} has {counted(content['images'], 'image')} and "
            f"{counted(content['annotations'], 'box', 'boxes')}; there is nothing to learn or to "
            "measure by. Give a file with both."
        )


def completed(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Annotations with the keys that MMDetection and COCO's evaluation ask for.

    Returns:
        The same content where nothing is missing, else a copy in which boxes have their ``area``,
        ``iscrowd`` and ``id``.
    """
    needed = {"id", "area", "iscrowd"}
    if all(needed <= annotation.keys() for annotation in content["annotations"]):
        return content
    annotations = [
        {
            "iscrowd": 0,
            "area": annotation["bbox"][2] * annotation["bbox"][3],
            **annotation,
            "id": number,
        }
        for number, annotation in enumerate(content["annotations"], 1)
    ]
    return {**content, "annotations": annotations}


def _numbered(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same with ids of annotations, which COCO's own tools need and others leave out."""
    annotations = content["annotations"]
    if not isinstance(annotations, list):
        return content
    numbered = [
        {"id": number, **annotation} if isinstance(annotation, dict) else annotation
        for number, annotation in enumerate(annotations, 1)
    ]
    return {**content, "annotations": numbered}


def _is_box(box: Any) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(value, int | float) and math.isfinite(value) for value in box)
    )


def split(whole: Annotations, share: float, seed: int) -> tuple[Annotations, Annotations]:
    """Split at random, image by image.

    Args:
        whole: What is split.
        share: Part of the images for validation, in (0, 1).
        seed: Seed of the choice.

    Returns:
        For training, for validation; both have at least one image.

    Raises:
        ValueError: There is only one image, or the share is out of its range.
    """
    if not 0 < share < 1:
        raise ValueError(f"--val-share must lie between 0 and 1, is {share}.")
    images = sorted(whole.content["images"], key=lambda image: str(image["file_name"]))
    if len(images) < 2:
        raise ValueError(
            f"{whole.file or whole.images} has one image, which cannot be split; add images, or a "
            "validation set of its own."
        )
    random.Random(seed).shuffle(images)
    count = min(max(1, round(share * len(images))), len(images) - 1)
    chosen = {image["id"] for image in images[:count]}

    def part(inside: bool) -> Annotations:
        content = {
            **whole.content,
            "images": [i for i in whole.content["images"] if (i["id"] in chosen) == inside],
            "annotations": [
                a for a in whole.content["annotations"] if (a["image_id"] in chosen) == inside
            ],
        }
        return Annotations(content, whole.images)

    return part(False), part(True)


def counted(items: Sized, one: str, many: str | None = None) -> str:
    """Their number and what they are, in the singular for one of them."""
    return f"{len(items):,} {one if len(items) == 1 else many or one + 's'}"


def shown(items: Sequence[Any]) -> str:
    """The first few of many items."""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(str(item) for item in items[:_SHOWN]) + more
