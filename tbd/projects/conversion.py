"""Pascal VOC and YOLO annotations, read by supervision and turned into COCO's format."""

import json
import os
import tempfile
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import yaml

from tbd.projects.annotations import TRIED, Annotations, counted, shown
from tbd.projects.label_check import check_voc_labels, check_yolo_labels, class_names

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation")}
_BACKGROUND = "count as background"


def read_voc(root: Path, files: Sequence[Path]) -> tuple[dict[str, Annotations], list[str]]:
    """Read Pascal VOC annotations.

    Args:
        root: Folder of the data.
        files: Its ``.xml`` files. They are one set, or, where they lie in several folders, the sets
            train and val by the names of these, or by the lists in ``ImageSets/Main``.

    Returns:
        Name of the split, empty for a single one, → annotations; and what is worth a note.
    """
    convert = _supervision().DetectionDataset.from_pascal_voc
    check_voc_labels(files)
    stems: dict[Path, set[str]] = {}
    for file in sorted(files):
        stems.setdefault(file.parent, set()).add(file.stem)
    images = {folder: _images_beside(folder, sorted(stems[folder]), root) for folder in stems}
    notes: list[str] = []
    found: dict[str, list[Annotations]] = {}
    for place in dict.fromkeys(images.values()):
        folders = [folder for folder in stems if images[folder] == place]
        shared = len(folders) > 1
        annotated = set().union(*(stems[folder] for folder in folders))
        where = ", ".join(map(str, folders))
        notes += _orphans(where, annotated, place, "are left out" if shared else _BACKGROUND)
        for folder in folders:
            name = _split_of(folder, root) if len(stems) > 1 else ""
            if name is None:
                continue
            part = _converted(convert, place, folder)
            if shared:
                names = [str(image["file_name"]) for image in part.content["images"]]
                part = _subset(part, {n for n in names if Path(n).stem in stems[folder]})
            found.setdefault(name, []).append(part)
    parts = {name: _joined(some) for name, some in found.items()}
    parts = {name: part.with_classes(sorted(part.classes)) for name, part in parts.items()}
    if set(parts) == {""}:
        parts = _by_lists(root, parts[""], notes) or parts
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
    splits = {name: _yolo_images(file, content, root, words) for name, words in _SPLITS.items()}
    if not any(splits.values()):
        splits = {"": _images_at(root / "images", ())}
    parts, notes = {}, []
    for name, images in splits.items():
        found = []
        for folder in sorted({image.parent for image in images}):
            own = {image.name for image in images if image.parent == folder}
            labels = _swapped(folder)
            texts = sorted(labels.glob("[!.]*.txt"))
            notes += _orphans(str(labels), {text.stem for text in texts}, folder, _BACKGROUND)
            check_yolo_labels(texts, classes)
            found.append(_subset(_converted(convert, folder, labels, file), own))
        if found:
            parts[name] = _joined(found)
    if not parts:
        given = {word: content.get(word) for words in _SPLITS.values() for word in words}
        raise FileNotFoundError(
            f"{file}: there are no images where train={given['train']!r} and "
            f"val={given['val'] or given['valid']!r} say, nor in {root / 'images'}."
        )
    return _same_classes(parts), list(dict.fromkeys(notes))


def _read_yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
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
        return _as_coco(dataset, images)
    # Of an image that cannot be read the second.
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{labels}, with the images in {images}, cannot be converted: {error}. Mend the file, "
            "or take it out."
        ) from error


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
    for annotation in content["annotations"]:
        # That of a polygon with a hole or of several parts; neither format has crowds.
        annotation["iscrowd"] = 0
    return Annotations(content, images)


def _joined(parts: Sequence[Annotations]) -> Annotations:
    """One set of several, each with images in a folder of its own."""
    if len(parts) == 1:
        return parts[0]
    folder = Path(os.path.commonpath([part.images for part in parts]))
    classes = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for part in parts:
        numbers = {}
        for image in part.content["images"]:
            numbers[image["id"]] = len(images) + 1
            name = (part.images / image["file_name"]).relative_to(folder).as_posix()
            images.append({**image, "id": len(images) + 1, "file_name": name})
        annotations += [
            {**box, "id": len(annotations) + number, "image_id": numbers[box["image_id"]]}
            for number, box in enumerate(part.with_classes(classes).content["annotations"], 1)
        ]
    categories = parts[0].with_classes(classes).content["categories"]
    return Annotations(
        {"images": images, "annotations": annotations, "categories": categories}, folder
    )


def _same_classes(parts: dict[str, Annotations]) -> dict[str, Annotations]:
    classes = list(dict.fromkeys(name for part in parts.values() for name in part.classes))
    if any(part.classes != tuple(classes) for part in parts.values()):
        classes.sort()
    return {name: part.with_classes(classes) for name, part in parts.items()}


def _subset(part: Annotations, names: Container[str]) -> Annotations:
    images = [image for image in part.content["images"] if image["file_name"] in names]
    ids = {image["id"] for image in images}
    boxes = [a for a in part.content["annotations"] if a["image_id"] in ids]
    return Annotations({**part.content, "images": images, "annotations": boxes}, part.images)


def _by_lists(root: Path, whole: Annotations, notes: list[str]) -> dict[str, Annotations]:
    """The splits that lists of Pascal VOC name, empty where one of them has none."""
    names = {}
    for image in whole.content["images"]:
        path = Path(image["file_name"])
        names[image["file_name"]] = {path.stem, f"{(whole.images / path).parent.name}/{path.stem}"}
    chosen: dict[str, set[str]] = {}
    found = []
    for split in _SPLITS:
        for file in sorted(root.rglob(f"ImageSets/Main/{split}.txt")):
            lines = file.read_text(encoding="utf-8").splitlines()
            listed = {line.split()[0] for line in lines if line.strip()}
            own = [name for name in names if (whole.images / name).is_relative_to(file.parents[2])]
            chosen.setdefault(split, set()).update(name for name in own if names[name] & listed)
            if lost := sorted(listed.difference(*(names[name] for name in own))):
                found.append(f"{file} lists {counted(lost, 'image')} not there: {shown(lost)}")
    if len(chosen) < len(_SPLITS):
        notes += [
            f"ImageSets/Main lists images of {split} alone, and is passed over: it takes a list of "
            f"{' and one of '.join(_SPLITS)}"
            for split in chosen
        ]
        return {}
    if rest := sorted(set(names).difference(*chosen.values())):
        found.append(f"{counted(rest, 'image')} in neither list are left out: {shown(rest)}")
    notes += found
    return {split: _subset(whole, own) for split, own in chosen.items()}


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
) -> list[Path]:
    """Images of a split: of folders, with those inside, or of lists."""
    bases = (file.parent, file.parent / str(content.get("path", ".")), root)
    found, missing = [], []
    for word in words:
        given = content.get(word) or []
        for name in given if isinstance(given, list) else [given]:
            places = (base / inner / str(name) for base in bases for inner in (".", ".."))
            images = next(filter(None, (_images_at(place, bases) for place in places)), [])
            found += images
            if not images:
                missing.append(str(name))
    if found and missing:
        raise FileNotFoundError(
            f"{file}: {words[0]} names {shown(missing)}, where there are no images; correct the "
            "path, or take it out."
        )
    # Folders that were moved since the file was written.
    moved = [root / a / b for w in words for a, b in ((w, "images"), ("images", w), (w, "."))]
    moved += [root / Path(name).parent.name / Path(name).name for name in missing]
    return found or next(filter(None, (_images_at(place, ()) for place in moved)), [])


def _images_at(place: Path, bases: Sequence[Path]) -> list[Path]:
    """Images below a folder, or those that a text lists by their paths from one of some folders."""
    # Not resolved: the labels of a linked folder lie beside the link.
    place = Path(os.path.abspath(place))
    if place.is_dir():
        return sorted(f for f in place.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES)
    if place.suffix != ".txt" or not place.is_file():
        return []
    listed, missing = [], []
    for line in filter(None, map(str.strip, place.read_text(encoding="utf-8").splitlines())):
        paths = [Path(os.path.abspath(base / line)) for base in (place.parent, *bases)]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            missing.append(line)
        else:
            listed.append(path)
    if missing:
        raise FileNotFoundError(
            f"{place} lists {counted(missing, 'image')} that are not there: {shown(missing)}. Add "
            "them, or take them out."
        )
    return listed


def _swapped(images: Path) -> Path:
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


def _orphans(annotations: str, stems: set[str], images: Path, fate: str) -> list[str]:
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
    return [f"{counted(bare, 'image')} of {images} without annotations {fate}: {shown(bare)}"]


def _suffixes() -> Sequence[str]:
    return [*IMAGE_SUFFIXES, *(suffix.upper() for suffix in IMAGE_SUFFIXES)]
