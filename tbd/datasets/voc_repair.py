"""A cleaned copy of annotations in Pascal VOC's format."""

import copy
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from tbd.datasets.image_check import displayed_size, is_broken
from tbd.datasets.voc_check import VocFolders, annotated_size, object_fault, read_xml


def repair_voc(folders: VocFolders, out: str | Path, look_at_images: bool = True) -> list[str]:
    """Write a copy of the list and of its ``.xml`` files without what :func:`check_voc` finds.

    Left out are objects that spoil a training, images whose annotation cannot be read, and images
    that are listed twice; where images are looked at, also those that cannot be read. Sizes of
    images are corrected then. Objects of classes that are not learned are kept.

    Args:
        folders: Where the data set lies; nothing there is changed, and images are not copied.
        out: Folder to write; the list keeps its name, the ``.xml`` files lie in ``Annotations``.
        look_at_images: Whether the images are opened.

    Returns:
        What was changed, a line for each kind.

    Raises:
        FileExistsError: ``out`` is there already.
        ValueError: The list of images is empty or no text.
    """
    out = Path(out)
    if out.exists():
        raise FileExistsError(
            f"--fix={str(out)!r} is there already; a cleaned copy replaces no file. Name another."
        )
    changes: Counter[str] = Counter()
    kept: dict[str, ElementTree.Element] = {}
    listed = folders.listed()
    for name in dict.fromkeys(listed):
        root = read_xml(folders.xml(name))
        if isinstance(root, str):
            changes[f"{root} left out"] += 1
        elif look_at_images and is_broken(folders.image(name)):
            changes["images that cannot be read left out"] += 1
        else:
            kept[name] = _clean(root, folders.image(name) if look_at_images else None, changes)
    if repeated := len(listed) - len(set(listed)):
        changes["images that are listed twice left out"] = repeated
    _write(out, Path(folders.names).name, kept)
    return [f"{count} {what}" for what, count in changes.items()]


def _write(out: Path, list_name: str, kept: dict[str, ElementTree.Element]) -> None:
    """Write the folder under another name first, so that it is there as a whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
        part = Path(temporary, "part")
        for name, root in kept.items():
            path = part / "Annotations" / f"{name}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(ElementTree.tostring(root, "unicode"), encoding="utf-8")
        (part / list_name).write_text("".join(f"{name}\n" for name in kept), encoding="utf-8")
        part.rename(out)


def _clean(
    root: ElementTree.Element, image: Path | None, changes: Counter[str]
) -> ElementTree.Element:
    root = copy.deepcopy(root)
    size = annotated_size(root)
    if image is not None and size is not None and size != (shown := displayed_size(image)):
        _write_size(root, size := shown)
        changes["sizes of images corrected"] += 1
    for item in root.findall("object"):
        fault = object_fault(item, size, classes=None)
        if fault is not None:
            root.remove(item)
            changes[f"{fault[0]} left out"] += 1
    return root


def _write_size(root: ElementTree.Element, size: tuple[int, int]) -> None:
    for key, side in zip(("width", "height"), size, strict=True):
        place = root.find(f"size/{key}")
        if place is None:
            place = ElementTree.SubElement(root.find("size"), key)  # type: ignore[arg-type]
        place.text = str(side)
