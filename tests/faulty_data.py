"""A small data set in COCO format with one fault of each kind."""

import json
from pathlib import Path
from typing import Any

from PIL import Image


def box(number: int, image: int = 0, category: int = 0, **change: Any) -> dict[str, Any]:
    """An annotation without fault, but for ``change``; a key of value None is left out."""
    annotation = dict(
        id=number, image_id=image, category_id=category, bbox=[4, 4, 20, 20], area=400, iscrowd=0
    )
    return {key: value for key, value in (annotation | change).items() if value is not None}


def content(*annotations: dict[str, Any], images: int = 2) -> dict[str, Any]:
    """A whole annotation file of images of 64 × 48 pixels."""
    return dict(
        images=[dict(id=i, file_name=f"{i}.jpg", width=64, height=48) for i in range(images)],
        annotations=list(annotations),
        categories=[dict(id=0, name="bar"), dict(id=1, name="tile")],
    )


def write(folder: Path, data: dict[str, Any], name: str = "all.json") -> Path:
    """Write the file and its images."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in data["images"]:
        Image.new("RGB", (64, 48), (90, 60, 30)).save(folder / image["file_name"])
    (folder / name).write_text(json.dumps(data))
    return folder / name
