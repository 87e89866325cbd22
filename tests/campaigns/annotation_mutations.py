"""Ways in which annotations and images can be wrong."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tiny_run import CLASSES

from campaigns.outcomes import Wanted

NAN, INFINITE = float("nan"), float("inf")
FILE = "all.json"


@dataclass(frozen=True)
class DataMutation:
    """One way to be wrong.

    Attributes:
        family: Its kind.
        name: What is done.
        apply: Does it to the folder of a data set.
        values: What is wrong, one of which a message names; empty where something is missing.
    """

    family: str
    name: str
    apply: Callable[[Path], None]
    values: tuple[str, ...] = ()

    @property
    def wanted(self) -> Wanted:
        """What a message about it has to name."""
        return Wanted((FILE,), self.values)


def mutations(number: int, seed: int) -> list[DataMutation]:
    """As many mutations, of kinds, places and values that the seed decides."""
    rng = random.Random(seed)
    kinds = (_box, _box, _annotation, _image_entry, _whole_file, _all_boxes, _image_file, _classes)
    return [kinds[index % len(kinds)](random.Random(rng.random())) for index in range(number)]


def _edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / FILE).read_text())
    change(content)
    (folder / FILE).write_text(json.dumps(content))


def _box(rng: random.Random) -> DataMutation:
    place = rng.randrange(4)
    size = rng.choice([0, -5, -1e9, 0.2])
    boxes: dict[str, Callable[[list[float]], Any]] = {
        f"box[{place}]=nan": lambda box: [*box[:place], NAN, *box[place + 1 :]],
        f"box[{place}]=inf": lambda box: [*box[:place], INFINITE, *box[place + 1 :]],
        f"box[{place}]=-inf": lambda box: [*box[:place], -INFINITE, *box[place + 1 :]],
        f"box of width {size}": lambda box: [box[0], box[1], size, box[3]],
        f"box of height {size}": lambda box: [box[0], box[1], box[2], size],
        "box right of its image": lambda box: [500, box[1], box[2], box[3]],
        "box above its image": lambda box: [box[0], -500, box[2], box[3]],
        "box of three numbers": lambda box: box[:3],
        "box of five numbers": lambda box: [*box, 1],
        "box as text": lambda box: "1 2 3 4",
        "box of texts": lambda box: [str(number) for number in box],
        "box of None": lambda box: None,
        "box as dict": lambda box: dict(x=1, y=2, w=3, h=4),
        "box of lists": lambda box: [box, box],
        "box of booleans": lambda box: [True, True, True, True],
    }
    name = rng.choice(list(boxes))
    index = rng.randrange(8)

    def change(content: dict[str, Any]) -> None:
        annotation = content["annotations"][index]
        annotation["bbox"] = boxes[name](annotation["bbox"])

    return DataMutation(
        "one box", f"annotation {index}: {name}", lambda f: _edit(f, change), (str(index),)
    )


def _annotation(rng: random.Random) -> DataMutation:
    values: list[tuple[str, Any]] = [
        ("category_id", 99),
        ("category_id", -1),
        ("category_id", "bar"),
        ("category_id", None),
        ("category_id", [0]),
        ("image_id", 99),
        ("image_id", None),
        ("image_id", "0"),
        ("area", 0),
        ("area", -3),
        ("area", NAN),
        ("area", "big"),
        ("area", None),
        ("id", 0),
        ("id", None),
    ]
    key, value = rng.choice(values)
    index = 1 + rng.randrange(7)
    missing = rng.random() < 0.25

    def change(content: dict[str, Any]) -> None:
        if missing:
            del content["annotations"][index][key]
        else:
            content["annotations"][index][key] = value

    what = f"without {key}" if missing else f"{key}={value!r}"
    # Of a repeated id it is the id that is named.
    named = (f"[{index}]", f"first: {value if (key, value) == ('id', 0) else index}")
    return DataMutation(
        "one annotation", f"annotation {index}: {what}", lambda f: _edit(f, change), named
    )


def _image_entry(rng: random.Random) -> DataMutation:
    values: list[tuple[str, Any]] = [
        ("width", 0),
        ("height", -4),
        ("width", "64"),
        ("height", None),
        ("width", NAN),
        ("width", 7),
        ("height", 640),
        ("file_name", "no.png"),
        ("file_name", ""),
        ("file_name", None),
        ("file_name", 3),
        ("id", 0),
        ("id", None),
        ("id", 1.5),
    ]
    key, value = rng.choice(values)
    index = 1 + rng.randrange(3)
    missing = rng.random() < 0.25

    def change(content: dict[str, Any]) -> None:
        if missing:
            del content["images"][index][key]
        else:
            content["images"][index][key] = value

    what = f"without {key}" if missing else f"{key}={value!r}"
    named = (f"[{index}]", f"first: {value if key == 'id' else index}", f"{index}.png", str(value))
    return DataMutation(
        "one image entry", f"image {index}: {what}", lambda f: _edit(f, change), named
    )


def _whole_file(rng: random.Random) -> DataMutation:
    part = rng.choice(["images", "annotations", "categories"])
    wrong = rng.choice([None, {}, "x", 3, [3], [None], [[]], [{}], []])
    cut = rng.random()
    ways: dict[str, Callable[[bytes], bytes]] = {
        f"cut at {cut:.2f}": lambda data: data[: int(cut * len(data))],
        "empty": lambda data: b"",
        "zeros": lambda data: bytes(len(data)),
        "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
        "UTF-16": lambda data: data.decode().encode("utf-16"),
        "Latin-1": lambda data: data.replace(b"bar", b"b\xe4r"),
        "a list": lambda data: b"[" + data + b"]",
        "twice": lambda data: data + data,
        "a page": lambda data: b"<html>404</html>",
        f"without {part}": lambda data: data.replace(f'"{part}"'.encode(), b'"x"'),
        f"{part}={wrong!r}": lambda data: json.dumps(json.loads(data) | {part: wrong}).encode(),
    }
    name = rng.choice(list(ways))

    def apply(folder: Path) -> None:
        (folder / FILE).write_bytes(ways[name]((folder / FILE).read_bytes()))

    return DataMutation("whole file", name, apply)


def _all_boxes(rng: random.Random) -> DataMutation:
    values: list[dict[str, Any]] = [
        dict(area=0),
        dict(iscrowd=1),
        dict(ignore=True),
        dict(bbox=[5, 5, 0, 0]),
        dict(bbox=[500, 5, 9, 9]),
        dict(category_id=99),
        dict(image_id=99),
    ]
    chosen = rng.choice(values)

    def change(content: dict[str, Any]) -> None:
        for annotation in content["annotations"]:
            annotation.update(chosen)

    return DataMutation("all boxes", f"all {chosen}", lambda f: _edit(f, change), ("first: 0",))


def _image_file(rng: random.Random) -> DataMutation:
    index, cut = rng.randrange(4), rng.uniform(0.05, 0.95)
    rotation = rng.choice([3, 6, 8])

    def shortened(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])

    def turned(path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = rotation
        with Image.open(path) as image:
            image.load()
        image.save(path, exif=exif)

    ways: dict[str, Callable[[Path], Any]] = {
        "missing": lambda path: path.unlink(),
        "zero bytes": lambda path: path.write_bytes(b""),
        f"cut at {cut:.2f}": shortened,
        "a page": lambda path: path.write_text("<html>404</html>"),
        "of another size": lambda path: Image.new("RGB", (20, 90)).save(path),
        f"turned by EXIF {rotation}": turned,
        "a folder": lambda path: (path.unlink(), path.mkdir()),
        "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    }
    name = rng.choice(list(ways))
    return DataMutation(
        "one image file",
        f"image {index}: {name}",
        lambda folder: ways[name](folder / "images" / f"{index}.png"),
        (f"{index}.png",),
    )


def _classes(rng: random.Random) -> DataMutation:
    def permuted(content: dict[str, Any]) -> None:
        content["categories"].reverse()

    def renamed(content: dict[str, Any]) -> None:
        content["categories"][index]["name"] = name

    def repeated(content: dict[str, Any]) -> None:
        content["categories"][1][key] = content["categories"][0][key]

    def lost(content: dict[str, Any]) -> None:
        del content["categories"][index]

    index, key = rng.randrange(3), rng.choice(["id", "name"])
    name = rng.choice(["Bar", "tiles", "", None, 3])
    what, change = rng.choice(
        [
            ("order reversed", permuted),
            (f"{index} called {name!r}", renamed),
            (f"two of one {key}", repeated),
            (f"without the one of index {index}", lost),
        ]
    )
    named = ("'tile' in the annotations", *map(repr, CLASSES), f"[{index}]", f"{key} of another")
    return DataMutation("categories", what, lambda f: _edit(f, change), named)
