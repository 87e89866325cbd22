"""What is wrong with annotations in Pascal VOC's format, and with the images beside them.

MMDetection keeps every box of these files. One of no width or an inverted one makes an infinite
loss, one that is no number ends the training when it is read. They are counted by kind, as
:mod:`tbd.datasets.annotation_check` does for COCO's format.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tbd.datasets.data_report import DataReport, Finding, Severity
from tbd.datasets.image_check import ImageCheck, image_faults

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_NO_SIZE = "images whose annotated width or height is no positive integer"
UNKNOWN = "objects of a class that metainfo.classes does not name"


@dataclass(frozen=True)
class VocFolders:
    """Where a data set in Pascal VOC's format lies.

    Attributes:
        names: The list of its images, one name without suffix in a line.
        annotations: Folder of the ``.xml`` files.
        images: Folder of the ``.jpg`` files.
        classes: Names of the classes that are learned. None: all.
        least: Width and height below which MMDetection ignores a box
            (``filter_cfg.bbox_min_size``), in pixels; 0 for none.
    """

    names: str
    annotations: str
    images: str
    classes: tuple[str, ...] | None = None
    least: float = 0

    def listed(self) -> list[str]:
        """Names of the images, as MMDetection reads them.

        Raises:
            ValueError: The list is empty or no text.
        """
        try:
            lines = Path(self.names).read_text("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self.names} is no text in UTF-8 ({error}); it must hold a name of an image in "
                "each line: write it again."
            ) from error
        names = [line.rstrip("\r\n") for line in lines]
        if names[-1] == "":
            names.pop()
        if not names:
            raise ValueError(f"{self.names} is empty; write a name of an image in each line.")
        return names

    def xml(self, name: str) -> Path:
        """The annotation file of an image."""
        return Path(self.annotations, f"{name}.xml")

    def image(self, name: str) -> Path:
        """The file of an image."""
        return Path(self.images, f"{name}.jpg")


def check_voc(folders: VocFolders, image_check: ImageCheck = "none") -> DataReport:
    """Count the faults of a data set in Pascal VOC's format.

    Args:
        folders: Where it lies.
        image_check: How closely the images are looked at.

    Returns:
        The faults.

    Raises:
        ValueError: The list of images is empty or no text.
    """
    found: dict[tuple[str, Severity], list[str]] = {}

    def note(fault: tuple[str, Severity], item: str) -> None:
        found.setdefault(fault, []).append(item)

    names = folders.listed()
    objects = usable = 0
    seen: set[str] = set()
    for name in names:
        if name in seen:
            note(("images that are listed twice", "note"), name)
            continue
        seen.add(name)
        root = read_xml(folders.xml(name))
        if isinstance(root, str):
            note((root, "stop"), f"{name}.xml")
            continue
        size = annotated_size(root)
        if size == (0, 0):
            note((_NO_SIZE, "stop"), f"{name}.xml")
        for index, item in enumerate(root.findall("object")):
            objects += 1
            fault = object_fault(item, size, folders.classes, folders.least)
            if fault is None and _is_difficult(item):
                fault = ("difficult objects, which teach no box", "note")
            if fault is not None:
                note(fault, f"{name}.xml object {index}")
            else:
                usable += 1
        if image_check != "none":
            # Without a size MMDetection takes that of the file.
            for fault in image_faults(folders.image(name), size or None, image_check):
                note(fault, f"{name}.jpg")
    findings = tuple(Finding(kind, how, tuple(ids)) for (kind, how), ids in found.items())
    return DataReport(folders.names, len(seen), objects, usable, findings)


def read_xml(path: Path) -> ElementTree.Element | str:
    """Read an annotation file; where that fails, return what is wrong with it."""
    if not path.is_file():
        return "annotation files that are not there"
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError:
        return "annotation files that are no whole XML"


def annotated_size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Annotated width and height; ``(0, 0)`` where they are no sizes, None where there are none."""
    size = root.find("size")
    if size is None:
        return None
    try:
        sides = int(size.findtext("width") or ""), int(size.findtext("height") or "")
    except ValueError:
        return (0, 0)
    return sides if min(sides) > 0 else (0, 0)


def object_fault(
    item: ElementTree.Element,
    size: tuple[int, int] | None,
    classes: Sequence[str] | None,
    least: float = 0,
) -> tuple[str, Severity] | None:
    """Say what is wrong with one object, and what comes of it, or None.

    Args:
        item: The ``object`` of an annotation file.
        size: What :func:`annotated_size` returned.
        classes: Names of the classes that are learned. None: all.
        least: Width and height below which MMDetection ignores a box, in pixels.
    """
    name = item.findtext("name")
    if name is None:
        return "objects without a name", "stop"
    if classes is not None and name not in classes:
        return UNKNOWN, "left out"
    try:
        _is_difficult(item)
    except ValueError:
        return "objects whose difficult is no integer", "stop"
    box = item.find("bndbox")
    try:
        corners = [float(box.findtext(corner) or "") for corner in _CORNERS]  # type: ignore[union-attr]
    except (ValueError, AttributeError):
        return "boxes that are not four numbers", "stop"
    if any(math.isnan(corner) for corner in corners):
        return "boxes with nan", "stop"
    if any(math.isinf(corner) for corner in corners):
        return "infinite boxes", "stop"
    # As MMDetection does, which cuts fractions off.
    left, top, right, bottom = map(int, corners)
    small: Severity = "left out" if least >= 1 else "stop"
    if right < left or bottom < top:
        return "inverted boxes, whose xmax is less than xmin or ymax than ymin", small
    if right == left or bottom == top:
        return "boxes of no width or height", small
    if min(right - left, bottom - top) < least:
        return "boxes smaller than filter_cfg.bbox_min_size", "note"
    if size and min(size) and (left > size[0] or top > size[1] or right < 1 or bottom < 1):
        return "boxes outside their image", "stop"
    return None


def _is_difficult(item: ElementTree.Element) -> bool:
    difficult = item.find("difficult")
    return difficult is not None and int(difficult.text or "") != 0
