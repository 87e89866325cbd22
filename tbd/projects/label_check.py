"""Labels in YOLO's and Pascal VOC's form, looked through before they are converted.

The library that converts them stops at the first fault, without its line or its file, and lets
pixels pass where YOLO has parts of the image.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tbd.projects.annotations import shown

# A coordinate is a part of the image; twice the image is no slip of rounding or of a box's edge.
_PIXELS = 2
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def check_yolo_labels(files: Sequence[Path], classes: Sequence[str]) -> None:
    """Look through label files of YOLO: in each line a class and a box or a polygon.

    Args:
        files: The ``.txt`` files.
        classes: Names of the classes, by which the first number of a line counts.

    Raises:
        ValueError: Lines are not what they should be. All faults are counted, by kind.
    """
    found: dict[str, list[str]] = {}
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            found.setdefault("files that are no text", []).append(str(file))
            continue
        for number, line in enumerate(lines, 1):
            fault = _line_fault(line.split(), classes) if line.strip() else None
            if fault is not None:
                found.setdefault(fault, []).append(f"{file}:{number} {line.strip()[:60]!r}")
    _refuse(
        found,
        "YOLO's labels are lines of a class, counted from 0, and of the box's centre, width and "
        "height as parts of the image's, between 0 and 1: mend them or take them out.",
    )


def check_voc_labels(files: Sequence[Path]) -> None:
    """Look through annotation files of Pascal VOC.

    Args:
        files: The ``.xml`` files.

    Raises:
        ValueError: Files are not what they should be. All faults are counted, by kind.
    """
    found: dict[str, list[str]] = {}
    for file in files:
        try:
            root = ElementTree.parse(file).getroot()
        except ElementTree.ParseError as error:
            found.setdefault("files that are no whole XML", []).append(f"{file}, {error}")
            continue
        if root.tag != "annotation":
            kind = "files of another kind, which do not begin with <annotation>"
            found.setdefault(kind, []).append(f"{file} begins with <{root.tag}>")
            continue
        for number, item in enumerate(root.findall("object"), 1):
            fault = _object_fault(item)
            if fault is not None:
                kind, value = fault
                found.setdefault(kind, []).append(f"{file} object {number}{value}")
    _refuse(
        found,
        "Pascal VOC's objects have a name and a bndbox of xmin, ymin, xmax and ymax in pixels: "
        "mend them or take them out.",
    )


def class_names(names: object, file: Path, count: object = None) -> list[str]:
    """The classes that a ``.yaml`` of YOLO names, in the order of their numbers.

    Args:
        names: Its ``names``: a list, or number → name.
        file: The file, for messages.
        count: Its ``nc``, if it has one.

    Raises:
        ValueError: They are neither, numbers are missing, or ``nc`` is another number.
    """
    if isinstance(names, Mapping) and sorted(map(str, names)) == sorted(
        str(number) for number in range(len(names))
    ):
        by_number = {int(number): str(name) for number, name in names.items()}
        classes = [by_number[number] for number in range(len(by_number))]
    elif isinstance(names, list):
        classes = [str(name) for name in names]
    else:
        raise ValueError(
            f"{file}: names={names!r} must be a list of classes, or number → name counted from 0 "
            "without a gap, as the labels count them."
        )
    if count is not None and count != len(classes):
        raise ValueError(
            f"{file}: nc={count!r}, and names has {len(classes)} classes: {shown(classes)}. Make "
            "them agree."
        )
    return classes


def _line_fault(values: Sequence[str], classes: Sequence[str]) -> str | None:
    if len(values) < 5:
        return "lines of fewer than five values"
    numbers = [_number(value) for value in values]
    label = numbers[0]
    if not math.isfinite(label) or label != int(label):
        return "lines whose class is no whole number"
    if not 0 <= label < len(classes):
        return f"lines of another class than names has, 0 to {len(classes) - 1}"
    if not all(map(math.isfinite, numbers)):
        return "lines with something else than finite numbers"
    box = numbers[1:5]
    if max(map(abs, box)) > _PIXELS:
        return "lines in pixels"
    if len(values) < 7 and min(box[2:]) < 0:
        return "boxes of negative width or height"
    return None


def _object_fault(item: ElementTree.Element) -> tuple[str, str] | None:
    if not (item.findtext("name") or "").strip():
        return "objects without a name", ""
    box = item.find("bndbox")
    if box is None:
        return "objects without a bndbox", ""
    for corner in _CORNERS:
        text = box.findtext(corner)
        if text is None or not math.isfinite(_number(text)):
            return "boxes of something else than four finite numbers", f" {corner}={text!r}"
    return None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _refuse(found: Mapping[str, Sequence[str]], remedy: str) -> None:
    if found:
        raise ValueError(f"{'; '.join(_described(found))}. {remedy}")


def _described(found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for kind, items in found.items():
        yield f"{len(items)} {kind}: {shown(items)}"
