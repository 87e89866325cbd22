"""Pascal VOC and YOLO annotations, read by supervision and turned into COCO's format."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tbd.projects.annotations import TRIED, Annotations, counted, shown
from tbd.projects.label_check import check_voc_labels, check_yolo_labels, class_names

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation")}


def read_voc(root: Path, files: Sequence[Path]) -> tuple[dict[str, Annotations], list[str]]:
    """Read Pascal VOC annotations.

    Args:
        root: Folder of the data.
        files: Its ``.xml`` files. Those of one folder are one set, named train or val by that
            folder or by the lists in ``ImageSets/Main``.

    Returns:
        Name of the split, empty for a single one, → annotations; and what is worth a note.
    """
    convert = _supervision().DetectionDataset.from_pascal_voc
    check_voc_labels(files)
    parts, notes = {}, []
    folders = sorted({file.parent for file in files})
    for folder in folders:
        names = [file.stem for file in files if file.parent == folder]
        images = _images_beside(folder, names, root)
        notes += _orphans(folder, set(names), images)
        part = _converted(convert, images, folder)
        part = part.with_classes(sorted(part.classes))
        name = _split_of(folder, root) if len(folders) > 1 else ""
        if name is None:
            continue
        parts[name] = part
    if set(parts) == {""}:
        listed = _listed(root)
        parts = {name: _subset(parts[""], stems) for name, stems in listed.items()} or parts
    return _same_classes(parts), notes


def read_yolo(root: Path, files: Sequence[Path]) -> tuple[dict[str, Annotations], list[str]]:
    """Read YOLO annotations.

    Args:
        root: Folder of the data.
        files: Its ``.yaml`` files, one of which names the classes.

    Returns:
        See :func:`read_voc`.

    Raises:
        FileNotFoundError: The images or labels are not where the file says.
        ValueError: No file, or more than one, names classes.
    """
    contents = {file: _read_yaml(file) for file in files}
    named = {f: c for f, c in contents.items() if isinstance(c, dict) and c.get("names")}
    if len(named) != 1:
        raise ValueError(
            f"--data {root}: {len(named)} of its .yaml files name classes, one has to: "
            f"{shown(list(files))}. Give it names, a list of the classes in the labels' order."
        )
    ((file, content),) = named.items()
    convert = _supervision().DetectionDataset.from_yolo
    classes = class_names(content["names"], file, content.get("nc"))
    parts, notes = {}, []
    for name, words in _SPLITS.items():
        images = _yolo_images(file, content, root, words)
        if images is None:
            continue
        labels = _swapped(images, root)
        texts = sorted(labels.glob("*.txt"))
        notes += _orphans(labels, {text.stem for text in texts}, images)
        check_yolo_labels(texts, classes)
        parts[name] = _converted(convert, images, labels, file)
    if not parts:
        given = {word: content.get(word) for words in _SPLITS.values() for word in words}
        raise FileNotFoundError(
            f"{file}: there are no images where train={given['train']!r} and "
            f"val={given['val'] or given['valid']!r} say, nor in {root / 'images'}."
        )
    return _same_classes(parts), notes


def _read_yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is no YAML: {error}.") from error


def _supervision() -> Any:
    try:
        import supervision
    except ImportError as error:
        raise ImportError(
            "Pascal VOC and YOLO annotations are read by supervision: pip install 'tbd[data]'."
        ) from error
    return supervision


def _converted(convert: Any, images: Path, labels: Path, *more: Path) -> Annotations:
    try:
        dataset = convert(str(images), str(labels), *map(str, more))
    except ValueError as error:
        raise ValueError(f"{labels} cannot be converted: {error}") from error
    return _as_coco(dataset, images)


def _as_coco(dataset: Any, images: Path) -> Annotations:
    if not dataset.image_paths:
        raise FileNotFoundError(f"{images} holds no images.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "all.json")
        dataset.as_coco(annotations_path=str(file))
        content = json.loads(file.read_text(encoding="utf-8"))
    for key in ("info", "licenses"):
        content.pop(key, None)
    for image in content["images"]:
        for key in ("license", "date_captured"):
            image.pop(key, None)
    content["categories"] = [
        {"id": category["id"], "name": category["name"]} for category in content["categories"]
    ]
    return Annotations(content, images)


def _same_classes(parts: dict[str, Annotations]) -> dict[str, Annotations]:
    classes = list(dict.fromkeys(name for part in parts.values() for name in part.classes))
    if any(part.classes != tuple(classes) for part in parts.values()):
        classes.sort()
    return {name: part.with_classes(classes) for name, part in parts.items()}


def _subset(part: Annotations, stems: set[str]) -> Annotations:
    images = [i for i in part.content["images"] if Path(i["file_name"]).stem in stems]
    ids = {image["id"] for image in images}
    boxes = [a for a in part.content["annotations"] if a["image_id"] in ids]
    return Annotations({**part.content, "images": images, "annotations": boxes}, part.images)


def _listed(root: Path) -> dict[str, set[str]]:
    """Stems of the images of each split, by the lists of Pascal VOC."""
    found = {}
    for name in _SPLITS:
        for file in root.rglob(f"ImageSets/Main/{name}.txt"):
            found[name] = {
                line.split()[0] for line in file.read_text().splitlines() if line.strip()
            }
    return found if len(found) == len(_SPLITS) else {}


def _split_of(folder: Path, root: Path) -> str | None:
    parts = [part.lower() for part in folder.relative_to(root).parts]
    for name, words in _SPLITS.items():
        if any(part.startswith(word) for part in parts for word in words):
            return name
    return None if any(part.startswith("test") for part in parts) else ""


def _images_beside(folder: Path, names: Sequence[str], root: Path) -> Path:
    beside = [p for p in sorted(folder.parent.iterdir()) if p.is_dir() and p != folder]
    for place in (folder, *beside, root):
        for name in names[:TRIED]:
            if any((place / f"{name}{suffix}").is_file() for suffix in _suffixes()):
                return place
    raise FileNotFoundError(
        f"{folder}: there is no image {names[0]} beside its annotations, with a suffix of "
        f"{', '.join(IMAGE_SUFFIXES)}, in {', '.join(map(str, (folder, *beside, root)))}. Put the "
        "images into one of these."
    )


def _yolo_images(
    file: Path, content: dict[str, Any], root: Path, words: Sequence[str]
) -> Path | None:
    given = [str(content[word]) for word in words if isinstance(content.get(word), str)]
    inside = str(content.get("path", "."))
    places = [
        base / inner / name
        for name in given
        for base in (file.parent, file.parent / inside, root)
        for inner in (".", "..")
    ]
    # Folders that were moved since the file was written.
    places += [root / a / b for w in words for a, b in ((w, "images"), ("images", w), (w, "."))]
    places += [root / Path(name).parent.name / Path(name).name for name in given]
    for place in places:
        if place.is_dir() and any(f.suffix.lower() in IMAGE_SUFFIXES for f in place.iterdir()):
            return place.resolve()
    return None


def _swapped(images: Path, root: Path) -> Path:
    """The folder of labels of a folder of images: the same path with another word."""
    parts = list(images.parts)
    for index in range(len(parts) - 1, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    labels = Path(*parts)
    if not labels.is_dir():
        raise FileNotFoundError(
            f"{images} has no labels: {labels} is not there. YOLO's labels lie in the same path "
            "with 'labels' in place of 'images'."
        )
    return labels


def _orphans(annotations: Path, stems: set[str], images: Path) -> list[str]:
    """Refuse annotations without image; note images without annotation."""
    pictures = {f.stem for f in images.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES}
    lost = sorted(stems - pictures)
    if lost:
        raise FileNotFoundError(
            f"{counted(lost, 'annotation file')} of {annotations} without an image in {images}: "
            f"{shown(lost)}. Add the images or take the files out."
        )
    bare = sorted(pictures - stems)
    if not bare:
        return []
    return [
        f"{counted(bare, 'image')} of {images} without annotations count as background: "
        f"{shown(bare)}"
    ]


def _suffixes() -> Sequence[str]:
    return [*IMAGE_SUFFIXES, *(suffix.upper() for suffix in IMAGE_SUFFIXES)]
