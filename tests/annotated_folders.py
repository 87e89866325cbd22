"""The data set of ``tiny_run`` in the forms of Pascal VOC and YOLO."""

import json

import tiny_run


def truth(folder):
    """File name → [(class, x, y, width, height)] of the set that ``write_data`` wrote."""
    content = json.loads((folder / "all.json").read_text())
    found = {image["file_name"]: [] for image in content["images"]}
    for box in content["annotations"]:
        name = content["images"][box["image_id"]]["file_name"]
        found[name].append((tiny_run.CLASSES[box["category_id"]], *box["bbox"]))
    return {name: sorted(boxes) for name, boxes in found.items()}


def as_voc(coco, folder):
    """The same set in Pascal VOC's form, whose pixels count from 1."""
    (folder / "Annotations").mkdir(parents=True)
    (folder / "JPEGImages").mkdir()
    for name, boxes in truth(coco).items():
        (folder / "JPEGImages" / name).write_bytes((coco / "images" / name).read_bytes())
        objects = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>"
            f"<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
            for label, x, y, w, h in boxes
        )
        path = folder / "Annotations" / name.replace(".png", ".xml")
        path.write_text(f"<annotation>{objects}</annotation>")
    return folder


def as_yolo(coco, folder, size=64):
    """The same set in YOLO's form: centres and sizes as parts of the image; one split each."""
    names = list(truth(coco))
    for split, chosen in (("train", names[:7]), ("val", names[7:])):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for name in chosen:
            target = folder / "images" / split / name
            target.write_bytes((coco / "images" / name).read_bytes())
            lines = [
                f"{tiny_run.CLASSES.index(label)} {(x + w / 2) / size} {(y + h / 2) / size} "
                f"{w / size} {h / size}"
                for label, x, y, w, h in truth(coco)[name]
            ]
            (folder / "labels" / split / name.replace(".png", ".txt")).write_text("\n".join(lines))
    names_of = ", ".join(tiny_run.CLASSES)
    (folder / "data.yaml").write_text(
        f"path: .\ntrain: images/train\nval: images/val\nnames: [{names_of}]\n"
    )
    return folder
