"""Annotations in COCO's format: read, looked through, split."""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_SHOWN = 3


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

    def outside(self) -> int:
        """Number of boxes that have no area or lie partly outside of their image."""
        sizes = {image["id"]: image for image in self.content["images"]}
        count = 0
        for annotation in self.content["annotations"]:
            x, y, width, height = annotation["bbox"]
            image = sizes[annotation["image_id"]]
            inside = x >= -1 and y >= -1
            inside &= x + width <= image["width"] + 1 and y + height <= image["height"] + 1
            count += not (inside and width > 0 and height > 0)
        return count

    def with_classes(self, classes: Sequence[str]) -> "Annotations":
        """The same with the categories in another order, numbered from 1.

        Raises:
            ValueError: A class is missing there.
        """
        missing = [name for name in self.classes if name not in classes]
        if missing:
            raise ValueError(
                f"{self.file or self.images} has the classes {', '.join(missing)}, which the "
                "training set does not have."
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
    try:
        ids = {image["id"] for image in content["images"]}
        categories = {category["id"] for category in content["categories"]}
        for image in content["images"]:
            image["file_name"], image["width"], image["height"]
        lost = [
            annotation.get("id")
            for annotation in content["annotations"]
            if annotation["image_id"] not in ids
            or annotation["category_id"] not in categories
            or not _is_box(annotation["bbox"])
        ]
        names = [str(category["name"]).strip() for category in content["categories"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is not in COCO's format: {error!r}.") from error
    if lost:
        raise ValueError(
            f"{file}: {len(lost)} annotations refer to an image or a category that is not in the "
            f"file, or have no box of four finite numbers; ids {shown(lost)}."
        )
    twice = sorted(name for name, count in Counter(names).items() if count > 1 or not name)
    if twice:
        raise ValueError(
            f"{file}: categories need names that differ; nameless or named twice: "
            f"{shown([repr(name) for name in twice])}."
        )
    if not content["images"] or not content["annotations"]:
        raise ValueError(
            f"{file} has {len(content['images'])} images and {len(content['annotations'])} boxes; "
            "there is nothing to learn from it."
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


def _is_box(box: Sequence[Any]) -> bool:
    return len(box) == 4 and all(isinstance(v, int | float) and math.isfinite(v) for v in box)


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
        raise ValueError(f"{whole.file or whole.images} has one image, which cannot be split.")
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


def shown(items: Sequence[Any]) -> str:
    """The first few of many items."""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(str(item) for item in items[:_SHOWN]) + more
