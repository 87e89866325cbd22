"""Folders of annotated images, in every format, whole and broken."""

import json
import re
from pathlib import Path

import pytest
from annotated_folders import as_voc, as_yolo, truth
from PIL import Image
from tiny_run import CLASSES, write_data

from tbd.projects.data_folder import read_data, split_name

pytest.importorskip("supervision", reason="needs tbd[data]")


@pytest.fixture
def coco(tmp_path):
    write_data(tmp_path / "data", images=10)
    return tmp_path / "data"


def boxes_of(part):
    names = {c["id"]: c["name"] for c in part.content["categories"]}
    files = {i["id"]: i["file_name"] for i in part.content["images"]}
    found = {name: [] for name in files.values()}
    for box in part.content["annotations"]:
        found[files[box["image_id"]]].append((names[box["category_id"]], *box["bbox"]))
    return {name: sorted(boxes) for name, boxes in found.items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, boxes in expected.items():
        assert [box[0] for box in found[name]] == [box[0] for box in boxes]
        for mine, right in zip(found[name], boxes, strict=True):
            assert mine[1:] == pytest.approx(right[1:], abs=1e-3)


def test_one_coco_file_is_split_by_the_seed(coco):
    found = read_data(coco, 0.2, 0)
    assert (found.kind, found.train.classes) == ("COCO", CLASSES)
    assert (len(found.train.sizes()), len(found.val.sizes())) == (8, 2)
    assert boxes_of(found.train) | boxes_of(found.val) == truth(coco)
    assert "2 images were set apart at random, seed 0" in found.notes[0]
    again, other = read_data(coco, 0.2, 0), read_data(coco, 0.2, 3)
    assert boxes_of(again.val) == boxes_of(found.val)
    assert boxes_of(other.val).keys() != boxes_of(found.val).keys()


def test_coco_files_with_splits_stay_as_they_are(coco):
    whole = json.loads((coco / "all.json").read_text())
    (coco / "annotations").mkdir()
    (coco / "all.json").rename(coco / "annotations" / "instances_train2017.json")
    val = whole | {"categories": whole["categories"][::-1]}
    (coco / "annotations" / "instances_val2017.json").write_text(json.dumps(val))
    found = read_data(coco, 0.2, 0)
    assert found.train.file == coco / "annotations" / "instances_train2017.json"
    # MMDetection would number the classes of this file otherwise, so another one is to be written.
    assert found.val.file is None
    assert found.val.classes == found.train.classes
    assert boxes_of(found.val) == boxes_of(found.train)


def test_pascal_voc_gives_the_same_boxes(coco, tmp_path):
    voc = as_voc(coco, tmp_path / "voc")
    found = read_data(voc, 0.2, 0)
    assert (found.kind, found.train.classes) == ("Pascal VOC", tuple(sorted(CLASSES)))
    assert_same(boxes_of(found.train) | boxes_of(found.val), truth(coco))
    # Its own lists of images decide where there are any.
    lists = voc / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("0\n1\n2\n")
    (lists / "val.txt").write_text("3\n4\n")
    listed = read_data(voc, 0.2, 0)
    assert set(boxes_of(listed.train)) == {"0.png", "1.png", "2.png"}
    assert set(boxes_of(listed.val)) == {"3.png", "4.png"}


def test_yolo_gives_the_same_boxes(coco, tmp_path):
    found = read_data(as_yolo(coco, tmp_path / "a folder, ünnamed"), 0.2, 0)
    assert (found.kind, found.train.classes) == ("YOLO", CLASSES)
    assert (len(found.train.sizes()), len(found.val.sizes())) == (7, 3)
    assert_same(boxes_of(found.train) | boxes_of(found.val), truth(coco))


def test_formats_are_not_mixed_and_something_must_be_there(coco, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_data(tmp_path / "nowhere", 0.2, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no annotations that are known: COCO .*YOLO"):
        read_data(tmp_path / "empty", 0.2, 0)
    as_voc(coco, coco / "voc")
    with pytest.raises(ValueError, match=r"several formats: COCO \(all.json\), Pascal VOC \(voc/"):
        read_data(coco, 0.2, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["annotations"].clear(), "0 boxes"),
        (lambda c: c["annotations"][0].update(image_id=99), "1 annotations refer to an image"),
        (lambda c: c["annotations"][0].update(category_id=99), "or a category that is not"),
        (lambda c: c["images"][0].pop("width"), "not in COCO's format: KeyError"),
        (lambda c: c["annotations"][0].update(bbox=["1", 2, 3, 4]), "four finite numbers"),
        (lambda c: c["annotations"][0].update(bbox=[float("nan"), 2, 3, 4]), "four finite numbers"),
        (lambda c: c["categories"][1].update(name=c["categories"][0]["name"]), "named twice"),
        (lambda c: c["categories"][1].update(name=" "), "nameless or named twice: ''"),
    ],
)
def test_broken_annotations_are_refused(coco, change, message):
    content = json.loads((coco / "all.json").read_text())
    change(content)
    (coco / "all.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_data(coco, 0.2, 0)


def test_a_torn_file_is_named(coco):
    text = (coco / "all.json").read_text()
    (coco / "all.json").write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match=r"all\.json is no JSON"):
        read_data(coco, 0.2, 0)


def test_torn_files_of_other_formats_are_named(coco, tmp_path):
    voc, yolo = as_voc(coco, tmp_path / "voc"), as_yolo(coco, tmp_path / "yolo")
    (voc / "Annotations" / "3.xml").write_text("<annotation><obj")
    with pytest.raises(ValueError, match=r"3\.xml is no XML"):
        read_data(voc, 0.2, 0)
    next(yolo.glob("*.yaml")).write_text("names: [a, b")
    with pytest.raises(ValueError, match=r"\.yaml is no YAML"):
        read_data(yolo, 0.2, 0)


def test_images_without_any_box_teach_nothing(coco, tmp_path):
    voc = as_voc(coco, tmp_path / "voc")
    for file in (voc / "Annotations").glob("*.xml"):
        file.write_text(re.sub("<object>.*</object>", "", file.read_text(), flags=re.DOTALL))
    with pytest.raises(ValueError, match="no image to train on has a box"):
        read_data(voc, 0.2, 0)


def test_keys_that_mmdetection_asks_for_are_added(coco):
    content = json.loads((coco / "all.json").read_text())
    for annotation in content["annotations"]:
        annotation.pop("area"), annotation.pop("iscrowd")
    content["annotations"][0]["bbox"] = [1, 2, 3, 4]
    for name in ("train", "val"):
        (coco / f"{name}.json").write_text(json.dumps(content))
    (coco / "all.json").unlink()
    found = read_data(coco, 0.2, 0)
    assert any("lacks area, iscrowd or id" in note for note in found.notes)
    first = found.train.content["annotations"][0]
    assert (first["area"], first["iscrowd"], found.train.file) == (12, 0, None)


def test_missing_images_are_named(coco, tmp_path):
    voc = as_voc(coco, tmp_path / "voc")
    (coco / "images" / "7.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of .* images .*: 7\.png"):
        read_data(coco, 0.2, 0)
    (voc / "JPEGImages" / "3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 annotation files of .* have no image in .*: 3"):
        read_data(voc, 0.2, 0)


def test_what_is_odd_is_said(coco, tmp_path):
    content = json.loads((coco / "all.json").read_text())
    content["annotations"][0]["bbox"] = [50, 50, 40, 3]
    content["annotations"][1]["bbox"] = [5, 5, 0, 3]
    content["categories"].append(dict(id=9, name="unseen"))
    (coco / "all.json").write_text(json.dumps(content))
    notes = " / ".join(read_data(coco, 0.2, 0).notes)
    assert "train has no box of unseen" in notes
    assert sum(int(word) for word in notes.split() if word in ("1", "2")) >= 2
    assert "empty or reach out of their image" in notes
    voc = as_voc(coco, tmp_path / "voc")
    Image.new("RGB", (8, 8)).save(voc / "JPEGImages" / "bare.png")
    assert any(
        "1 images of" in note and "background: bare" in note
        for note in read_data(voc, 0.2, 0).notes
    )


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("annotations/instances_train2017.json", "train"),
        ("valid/_annotations.coco.json", "val"),
        ("data/val.json", "val"),
        ("test/_annotations.coco.json", "test"),
        ("train/annotations/boxes.json", "train"),
        ("data/all.json", ""),
    ],
)
def test_names_tell_splits(path, split):
    assert split_name(Path(path)) == split
