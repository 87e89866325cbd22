"""Whether images can be read, and whether they are as large as annotations say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from tbd.datasets.data_report import Severity

ImageCheck = Literal["none", "header", "pixels"]
"""How closely images are looked at: not at all, existence and size, every pixel decoded."""

_ORIENTATION = 0x0112
# What the last bytes hold of a file that is whole; cameras write notes of their own behind it.
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_TAIL = 4096
ROTATED = (
    "images with an EXIF rotation, which MMDetection applies when it reads them, so that boxes "
    "must be those of the turned image"
)
DEEP = (
    "images of 16 bits, of which MMDetection reads the upper 8, so that those of 12 bits are black"
)
# Orientations of EXIF that turn width into height.
_TURNED = (5, 6, 7, 8)


def image_faults(
    path: Path, size: tuple[Any, Any] | None, check: ImageCheck
) -> Iterator[tuple[str, Severity]]:
    """Yield what is wrong with one image file.

    Args:
        path: The file.
        size: Annotated width and height; None if there are none.
        check: How closely to look.
    """
    if not path.is_file():
        yield "images that are not there", "stop"
        return
    if not path.stat().st_size:
        yield "images of zero bytes", "stop"
        return
    try:
        with Image.open(path) as image:
            orientation, shown = image.getexif().get(_ORIENTATION, 1), _as_shown(image)
            is_deep = image.mode.startswith("I")
            if check == "pixels" or not _has_its_end(path, image.format):
                image.load()
    # Pillow raises many kinds for files that are no images or are cut short.
    except Exception:
        yield "images that cannot be read to the end", "stop"
        return
    if orientation != 1:
        yield ROTATED, "note"
    if is_deep:
        yield DEEP, "note"
    if size is not None and shown != tuple(size):
        yield "images of another size than annotated", "note"


def _has_its_end(path: Path, kind: str | None) -> bool:
    """Whether a file ends as its format says; if not, it may be cut short."""
    mark = _ENDS.get(kind or "")
    if mark is None:
        return False
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _TAIL, 0))
        return mark in file.read()


def is_broken(path: Path) -> bool:
    """Whether an image cannot be read to its end."""
    return any(severity == "stop" for _, severity in image_faults(path, None, "pixels"))


def displayed_size(path: Path) -> tuple[int, int]:
    """Width and height as MMDetection reads an image, turned as its EXIF says."""
    with Image.open(path) as image:
        return _as_shown(image)


def _as_shown(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(_ORIENTATION, 1) in _TURNED
    return image.size[::-1] if turned else image.size
