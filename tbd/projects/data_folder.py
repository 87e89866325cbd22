"""Looking at a folder of annotated images: its format, its splits."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tbd.projects.annotations import (
    Annotations,
    check_annotations,
    completed,
    shown,
    split,
)
from tbd.projects.conversion import read_voc, read_yolo

_FORMATS = "COCO (a .json), Pascal VOC (.xml) or YOLO (a .yaml with names, labels in .txt)"


@dataclass(frozen=True)
class Data:
    """What a folder holds.

    Attributes:
        root: The folder.
        kind: ``COCO``, ``Pascal VOC`` or ``YOLO``.
        train: For training.
        val: For validation, with the classes in the same order.
        notes: What somebody should know before training.
    """

    root: Path
    kind: str
    train: Annotations
    val: Annotations
    notes: tuple[str, ...]


def read_data(root: Path, val_share: float, seed: int) -> Data:
    """Find annotations and images, whatever their format.

    Args:
        root: The folder.
        val_share: Part of the images that is set apart where there is no validation split.
        seed: Seed of that choice.

    Raises:
        FileNotFoundError: There is no folder, no annotation, or an image is missing.
        ImportError: Pascal VOC or YOLO without the extra ``tbd[data]``.
        ValueError: Formats are mixed, a file is broken, or the classes of the splits differ.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"--data {root}: there is no such folder.")
    jsons = {file: content for file in _files(root, ".json") if (content := _coco_content(file))}
    xmls = _files(root, ".xml")
    yamls = [file for suffix in (".yaml", ".yml") for file in _files(root, suffix)]
    labels = [f for f in _files(root, ".txt") if yamls and "labels" in f.relative_to(root).parts]
    found = {"COCO": list(jsons), "Pascal VOC": xmls, "YOLO": labels}
    kinds = [kind for kind, files in found.items() if files]
    if len(kinds) > 1:
        examples = ", ".join(f"{kind} ({found[kind][0].relative_to(root)})" for kind in kinds)
        raise ValueError(
            f"--data {root} holds annotations of several formats: {examples}. Which of them count? "
            "Give a folder with one."
        )
    if not kinds:
        raise FileNotFoundError(f"--data {root} holds no annotations that are known: {_FORMATS}.")
    notes: list[str] = []
    if jsons:
        parts = _coco(root, jsons, notes)
    else:
        parts, more = read_voc(root, xmls) if xmls else read_yolo(root, yamls)
        notes += more
    train, val = _both(parts, val_share, seed, notes)
    if not train.content["annotations"]:
        raise ValueError(f"--data {root}: no image to train on has a box; nothing can be learnt.")
    for part in (train, val):
        _check_images(part)
    return Data(root, kinds[0], train, val, (*notes, *_remarks(train, val)))


def split_name(path: Path) -> str:
    """``train``, ``val`` or ``test`` by the name of a file or of its folder, else empty."""
    for name in (path.stem.lower(), path.parent.name.lower(), path.parent.parent.name.lower()):
        for split_, words in (("train", ("train",)), ("val", ("val",)), ("test", ("test",))):
            if any(name.startswith(w) or name.endswith(w) or f"_{w}" in name for w in words):
                return split_
    return ""


def _coco(
    root: Path, files: Mapping[Path, dict[str, Any]], notes: list[str]
) -> dict[str, Annotations]:
    parts: dict[str, Annotations] = {}
    for file, content in files.items():
        name = split_name(file.relative_to(root))
        if name == "test":
            continue
        if name in parts:
            raise ValueError(
                f"--data {root} holds two annotation files{name and f' for {name}'}: "
                f"{parts[name].file} and {file}. Name them train and val, or give a folder with "
                "one."
            )
        check_annotations(content, file)
        images = _image_folder(root, file, content["images"], name)
        whole = completed(content)
        if whole is not content:
            notes.append(f"{file} lacks area, iscrowd or id of boxes; a copy has them")
        parts[name] = Annotations(whole, images, file if whole is content else None)
    return parts


def _image_folder(root: Path, file: Path, images: Sequence[dict[str, Any]], name: str) -> Path:
    wanted = str(images[0]["file_name"])
    near = (file.parent, file.parent.parent, root)
    folders = [base / inside for base in near for inside in (".", "images", name)]
    for folder in (f for f in folders if f.is_dir()):
        for place in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
            if (place / wanted).is_file():
                return place
    raise FileNotFoundError(f"{file}: its image {wanted} is nowhere below {root}.")


def _both(
    parts: dict[str, Annotations], share: float, seed: int, notes: list[str]
) -> tuple[Annotations, Annotations]:
    train = parts.get("train") or parts.get("")
    if train is None:
        raise ValueError(
            f"there is a split for {', '.join(parts)} and none to train on; name one train."
        )
    val = parts.get("val")
    if val is None:
        train, val = split(train, share, seed)
        notes.append(
            f"no validation split: {len(val.sizes())} images were set apart at random, seed {seed}"
        )
    # MMDetection numbers classes by the order of each file.
    if val.classes != train.classes:
        val = val.with_classes(train.classes)
    return train, val


def _remarks(train: Annotations, val: Annotations) -> Iterable[str]:
    for name, part in (("train", train), ("val", val)):
        empty = [label for label, count in part.boxes_by_class().items() if count == 0]
        if empty:
            yield f"{name} has no box of {shown(empty)}, whose AP will be missing or meaningless"
        if outside := part.outside():
            yield (
                f"{outside} boxes of {name} are empty or reach out of their image; MMDetection "
                "clips them or passes over them"
            )
    if len(train.classes) > 1000:
        yield f"{len(train.classes)} classes: the last layer of a head grows with their number"


def _check_images(part: Annotations) -> None:
    missing = [
        image["file_name"]
        for image in part.content["images"]
        if not (part.images / image["file_name"]).is_file()
    ]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(part.sizes())} images of {part.file or 'the annotations'} are "
            f"not in {part.images}: {shown(missing)}."
        )


def _files(root: Path, suffix: str) -> list[Path]:
    return sorted(path for path in root.rglob(f"*{suffix}") if path.is_file())


def _coco_content(file: Path) -> dict[str, Any] | None:
    """What an annotation file holds; None for JSON of another kind."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}.") from error
    known = isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()
    return content if known else None
