"""Looking at a folder of annotated images: its format, its splits."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tbd.datasets.annotation_check import check_annotations as find_faults
from tbd.projects.annotations import (
    TRIED,
    Annotations,
    check_annotations,
    completed,
    counted,
    shown,
    split,
)
from tbd.projects.conversion import IMAGE_SUFFIXES, read_voc, read_yolo

# Of larger sets not every image is opened.
_MOST_OPENED = 5000

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


def read_data(root: Path, val_share: float, seed: int, without: Path | None = None) -> Data:
    """Find annotations and images, whatever their format.

    Args:
        root: The folder.
        val_share: Part of the images that is set apart where there is no validation split.
        seed: Seed of that choice.
        without: Folder whose files are no part of the data, though it may lie in theirs: what was
            made of them.

    Raises:
        FileNotFoundError: There is no folder, no annotation, or an image is missing.
        ImportError: Pascal VOC or YOLO without the extra ``tbd[data]``.
        ValueError: Formats are mixed, a file is broken, or the classes of the splits differ.
    """
    if not root.is_dir():
        what = "is a file; give the folder that it lies in" if root.exists() else "is not there"
        raise FileNotFoundError(f"--data {root} {what}.")
    made = None if without is None else without.resolve()
    if made is not None and root.resolve() not in made.parents:
        made = None

    def files(suffix: str) -> list[Path]:
        found = _files(root, suffix)
        return [f for f in found if made is None or not f.resolve().is_relative_to(made)]

    jsons = {file: content for file in files(".json") if (content := _coco_content(file))}
    xmls = files(".xml")
    yamls = [file for suffix in (".yaml", ".yml") for file in files(suffix)]
    labels = [f for f in files(".txt") if yamls and "labels" in f.relative_to(root).parts]
    found = {"COCO": list(jsons), "Pascal VOC": xmls, "YOLO": labels}
    kinds = [kind for kind, files in found.items() if files]
    if len(kinds) > 1:
        examples = ", ".join(f"{kind} ({found[kind][0].relative_to(root)})" for kind in kinds)
        raise ValueError(
            f"--data {root} holds annotations of several formats: {examples}. Which of them count? "
            "Give a folder with one."
        )
    if not kinds:
        raise FileNotFoundError(
            f"--data {root} holds no annotations that are known; give one "
            f"with {_FORMATS}.{_hint(root)}"
        )
    notes: list[str] = []
    if jsons:
        parts = _coco(root, jsons, notes)
    else:
        parts, more = read_voc(root, xmls) if xmls else read_yolo(root, yamls)
        notes += more
    for name, part in parts.items():
        _check_images(part)
        notes += _check_content(part, name)
    train, val = _both(parts, val_share, seed, notes)
    if not train.content["annotations"]:
        raise ValueError(
            f"--data {root}: no image to train on has a box, and nothing can be learnt; label some."
        )
    return Data(root, kinds[0], train, val, (*notes, *_remarks(train, val)))


def split_name(path: Path) -> str:
    """``train``, ``val`` or ``test`` by the name of a file or of its folder, else empty."""
    for name in (path.stem.lower(), path.parent.name.lower(), path.parent.parent.name.lower()):
        for word in ("train", "val", "test"):
            if name.startswith(word) or name.endswith(word) or f"_{word}" in name:
                return word
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
    wanted = [str(image["file_name"]) for image in images[:TRIED]]
    # Beside the data may lie other data, whose images have the same names.
    near = [base for base in (file.parent, file.parent.parent) if base.is_relative_to(root)]
    folders = [base / inside for base in (*near, root) for inside in (".", "images", name)]
    found: dict[Path, tuple[bool, int]] = {}
    for folder in (f for f in folders if f.is_dir()):
        for place in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
            if count := sum((place / image).is_file() for image in wanted):
                # Images of two splits often have the same names, each in a folder of its own.
                found.setdefault(place, (split_name(place / "image") == name, count))
    if found:
        return max(found, key=lambda place: found[place])
    raise FileNotFoundError(
        f"{file}: its images, {shown(wanted)}, are nowhere in {root}; put them into "
        f"{root / 'images'}."
    )


def _both(
    parts: dict[str, Annotations], share: float, seed: int, notes: list[str]
) -> tuple[Annotations, Annotations]:
    train = parts.get("train") or parts.get("")
    if train is None:
        raise ValueError(
            f"there is a split for {', '.join(parts)} and none to train on; name one train."
        )
    if "" in parts and train is not parts[""]:
        rest = parts[""]
        notes.append(
            f"{rest.file or rest.images}, which is named neither train nor val, is left out, for "
            "there is a train beside it"
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
        if outside := part.reaching_out():
            yield (
                f"{counted(outside, 'box', 'boxes')} of {name} out of the image in part, which "
                f"MMDetection clips: ids {shown(outside)}"
            )
    files = [
        {os.path.abspath(part.images / image["file_name"]) for image in part.content["images"]}
        for part in (train, val)
    ]
    if twice := sorted(files[0] & files[1]):
        yield (
            f"{counted(twice, 'image')} of val are in train too, so that its AP says little of "
            f"other images: {shown(twice)}"
        )
    if len(train.classes) > 1000:
        yield (
            f"{len(train.classes):,} classes: the last layer of a head grows with their number, "
            "and with it memory and time of a step"
        )
    alike: dict[str, list[str]] = {}
    for label in train.classes:
        alike.setdefault(label.strip().lower(), []).append(label)
    if twins := [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]:
        yield f"classes that differ by spaces or capitals alone: {shown(twins)}; are they one?"


def _check_images(part: Annotations) -> None:
    missing = [
        image["file_name"]
        for image in part.content["images"]
        if not (part.images / image["file_name"]).is_file()
    ]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(part.sizes())} images of {part.file or 'the annotations'} are "
            f"not in {part.images}: {shown(missing)}. Add them, or take them out of the file."
        )


def _check_content(part: Annotations, name: str) -> list[str]:
    """Refuse what would spoil a training or end it in the middle; return what else is odd."""
    where = str(part.file or part.images)
    many = len(part.sizes()) > _MOST_OPENED
    found = find_faults(
        completed(part.content), where, None, part.images, "none" if many else "header"
    )
    if faults := found.of("stop"):
        remedy = (
            f"tbd check-data {part.file} --images {part.images} --fix FOLDER writes a cleaned copy."
            if part.file
            else "Mend them or take them out."
        )
        raise ValueError(f"{where} has {'; '.join(map(str, faults))}. {remedy}")
    if part.content["annotations"] and not found.usable:
        left = "; ".join(map(str, found.findings))
        raise ValueError(f"{where} has no box that can be learnt or measured by: {left}.")
    of = f"{name}: " if name else ""
    notes = [f"{of}MMDetection leaves out {fault}" for fault in found.of("left out")]
    return notes + [f"{of}{fault}" for fault in found.of("note") if "image" in fault.kind]


def _hint(root: Path) -> str:
    """What was found in place of annotations."""
    if others := _files(root, ".json"):
        return f" {others[0]} has not images, annotations and categories, as COCO's files have."
    if labels := [file for file in _files(root, ".txt") if file.parent != root]:
        return (
            f" Are {labels[0]} and its like labels of YOLO? Then write a {root / 'data.yaml'} with "
            "'names: [...]', the classes in their order, and put the labels below labels/."
        )
    images = [file for file in root.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES]
    return f" There are {counted(images, 'image')} and nothing that labels them." * bool(images)


def _files(root: Path, suffix: str) -> list[Path]:
    """Files of the data: none of a hidden folder, nor of those that macOS adds to archives."""
    return sorted(
        path
        for path in root.rglob(f"*{suffix}")
        if path.is_file()
        and not any(
            part.startswith(".") or part == "__MACOSX" for part in path.relative_to(root).parts
        )
    )


def _coco_content(file: Path) -> dict[str, Any] | None:
    """What an annotation file holds; None for JSON of another kind."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}.") from error
    known = isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()
    return content if known else None
