"""A small data set in Pascal VOC's format, with faults where a test wants them."""

from pathlib import Path

from PIL import Image

CLASSES = ("bar", "tile")
SIZE = "<size><width>64</width><height>48</height></size>"


def item(*corners: object, name: str = "bar", more: str = "") -> str:
    """An object; without fault if no corners are given."""
    parts = zip(("xmin", "ymin", "xmax", "ymax"), corners or (5, 5, 25, 25), strict=False)
    box = "".join(f"<{key}>{value}</{key}>" for key, value in parts)
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


def write(root: Path, *contents: str) -> Path:
    """Write an image, named by its number, with the content of its annotation file each.

    Returns:
        The list of images, of an image without fault and of these.
    """
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    for number, content in enumerate((SIZE + item(), *contents)):
        Image.new("RGB", (64, 48), (90, 60, 30)).save(root / "JPEGImages" / f"{number}.jpg")
        text = content if content.startswith("!") else f"<annotation>{content}</annotation>"
        (root / "Annotations" / f"{number}.xml").write_text(text.removeprefix("!"))
    (root / "train.txt").write_text("".join(f"{number}\n" for number in range(len(contents) + 1)))
    return root / "train.txt"
