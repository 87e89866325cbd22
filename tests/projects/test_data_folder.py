"""Folders of annotated images, in every format, whole and broken."""

import json
import re
import shutil
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
    (coco / "whole.json").write_text(json.dumps(whole))
    notes = read_data(coco, 0.2, 0).notes
    assert any("whole.json, which is named neither train nor val, is left out" in n for n in notes)


def test_images_of_two_splits_may_have_the_same_names(coco):
    content = json.loads((coco / "all.json").read_text())
    (coco / "all.json").unlink()
    (coco / "annotations").mkdir()
    for name in ("train", "val"):
        (coco / "annotations" / f"{name}.json").write_text(json.dumps(content))
        shutil.copytree(coco / "images", coco / f"{name}2017")
    shutil.rmtree(coco / "images")
    found = read_data(coco, 0.2, 0)
    assert (found.train.images.name, found.val.images.name) == ("train2017", "val2017")
    assert not any("are in train too" in note for note in found.notes)
    shutil.rmtree(coco / "val2017")
    assert any("10 images of val are in train too" in n for n in read_data(coco, 0.2, 0).notes)


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
    (lists / "val.txt").unlink()
    alone = read_data(voc, 0.2, 0)
    assert len(alone.train.sizes()) == 8
    assert any("lists images of train alone, and is passed over" in note for note in alone.notes)


def test_yolo_gives_the_same_boxes(coco, tmp_path):
    found = read_data(as_yolo(coco, tmp_path / "a folder, ünnamed"), 0.2, 0)
    assert (found.kind, found.train.classes) == ("YOLO", CLASSES)
    assert (len(found.train.sizes()), len(found.val.sizes())) == (7, 3)
    assert_same(boxes_of(found.train) | boxes_of(found.val), truth(coco))


def test_folders_of_pascal_voc_are_joined(coco, tmp_path):
    voc = as_voc(coco, tmp_path / "voc")
    for number in range(10):
        folder = voc / ("day" if number % 3 else "night")
        folder.mkdir(exist_ok=True)
        shutil.move(voc / "JPEGImages" / f"{number}.png", folder)
        shutil.move(voc / "Annotations" / f"{number}.xml", folder)
    found = read_data(voc, 0.2, 0)
    names = {name.partition("/")[2]: name for name in boxes_of(found.train) | boxes_of(found.val)}
    assert (names["3.png"], names["4.png"]) == ("night/3.png", "day/4.png")
    both = boxes_of(found.train) | boxes_of(found.val)
    assert_same({short: both[name] for short, name in names.items()}, truth(coco))
    # Every annotation has an id of its own, over both folders.
    ids = [a["id"] for part in (found.train, found.val) for a in part.content["annotations"]]
    assert len(set(ids)) == len(ids) == 20


def test_images_beside_the_annotations_of_two_splits_are_in_one_of_them(coco, tmp_path):
    voc = as_voc(coco, tmp_path / "voc")
    for number in range(10):
        folder = voc / "Annotations" / ("val" if number < 3 else "train")
        folder.mkdir(exist_ok=True)
        shutil.move(voc / "JPEGImages" / f"{number}.png", voc)
        shutil.move(voc / "Annotations" / f"{number}.xml", folder)
    (voc / "Annotations" / "train" / "9.xml").unlink()
    found = read_data(voc, 0.2, 0)
    assert set(boxes_of(found.val)) == {"0.png", "1.png", "2.png"}
    assert set(boxes_of(found.train)) == {f"{number}.png" for number in range(3, 9)}
    assert any("1 image of" in note and "are left out: 9" in note for note in found.notes)


def test_lists_of_pascal_voc_that_do_not_fit_are_noted(coco, tmp_path):
    voc = as_voc(coco, tmp_path / "voc")
    lists = voc / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("0\n1 -1\nJPEGImages/2\nlost\n")
    (lists / "val.txt").write_text("2\n3\n")
    found = read_data(voc, 0.2, 0)
    assert set(boxes_of(found.train)) == {"0.png", "1.png", "2.png"}
    notes = " / ".join(found.notes)
    assert "train.txt lists 1 image not there: lost" in notes
    assert "6 images in neither list are left out: 4.png, 5.png, 6.png and 3 more" in notes
    assert "1 image of val are in train too" in notes


def test_images_of_yolo_in_folders_inside_are_read(coco, tmp_path):
    yolo = as_yolo(coco, tmp_path / "yolo")
    for kind, suffix in (("images", "png"), ("labels", "txt")):
        (yolo / kind / "train" / "night").mkdir()
        for number in (0, 4):
            source = yolo / kind / "train" / f"{number}.{suffix}"
            source.rename(source.parent / "night" / source.name)
    found = read_data(yolo, 0.2, 0)
    assert "night/4.png" in boxes_of(found.train)
    both = boxes_of(found.train) | boxes_of(found.val)
    assert_same({name.rpartition("/")[2]: boxes for name, boxes in both.items()}, truth(coco))


def test_lists_of_folders_and_of_images_of_yolo_are_read(coco, tmp_path):
    yolo = as_yolo(coco, tmp_path / "yolo")
    names = f"names: [{', '.join(CLASSES)}]\n"
    (yolo / "data.yaml").write_text("train: [images/train, images/val]\nval: images/val\n" + names)
    found = read_data(yolo, 0.2, 0)
    assert (len(found.train.sizes()), len(found.val.sizes())) == (10, 3)
    (yolo / "data.yaml").write_text("train: a.txt\nval: b.txt\n" + names)
    (yolo / "a.txt").write_text("./images/train/0.png\nimages/val/8.png\n")
    (yolo / "b.txt").write_text(f"{yolo}/images/train/1.png\n\n")
    found = read_data(yolo, 0.2, 0)
    assert set(boxes_of(found.train)) == {"train/0.png", "val/8.png"}
    assert_same(boxes_of(found.val), {"1.png": truth(coco)["1.png"]})
    (yolo / "b.txt").write_text("images/train/1.png\nimages/train/77.png\n")
    with pytest.raises(FileNotFoundError, match=r"b\.txt lists 1 image .*: images/train/77\.png"):
        read_data(yolo, 0.2, 0)
    (yolo / "data.yaml").write_text("train: [images/train, images/lost]\n" + names)
    with pytest.raises(FileNotFoundError, match="train names images/lost, where there are no im"):
        read_data(yolo, 0.2, 0)


def test_a_yaml_of_yolo_may_name_nothing_but_classes(coco, tmp_path):
    yolo = as_yolo(coco, tmp_path / "yolo")
    for kind in ("images", "labels"):
        for file in (yolo / kind).glob("*/*"):
            file.rename(yolo / kind / file.name)
        shutil.rmtree(yolo / kind / "train")
        shutil.rmtree(yolo / kind / "val")
    (yolo / "data.yaml").write_text(f"names: [{', '.join(CLASSES)}]\n")
    # A folder that is a link has its labels beside the link.
    (yolo / "images").rename(tmp_path / "elsewhere")
    (yolo / "images").symlink_to(tmp_path / "elsewhere")
    found = read_data(yolo, 0.2, 0)
    assert (len(found.train.sizes()), len(found.val.sizes())) == (8, 2)
    assert_same(boxes_of(found.train) | boxes_of(found.val), truth(coco))


def test_formats_are_not_mixed_and_something_must_be_there(coco, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not there"):
        read_data(tmp_path / "nowhere", 0.2, 0)
    with pytest.raises(FileNotFoundError, match=r"all\.json is a file; give the folder"):
        read_data(coco / "all.json", 0.2, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no annotations that are known; .*COCO .*YOLO"):
        read_data(tmp_path / "empty", 0.2, 0)
    bare = as_yolo(coco, tmp_path / "bare")
    (bare / "data.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"labels of YOLO\? Then write a .*data\.yaml"):
        read_data(bare, 0.2, 0)
    shutil.rmtree(bare / "labels")
    with pytest.raises(FileNotFoundError, match="10 images and nothing that labels them"):
        read_data(bare, 0.2, 0)
    (bare / "info.json").write_text("[1]")
    with pytest.raises(FileNotFoundError, match=r"info\.json has not images, annotations"):
        read_data(bare, 0.2, 0)
    as_voc(coco, coco / "voc")
    with pytest.raises(ValueError, match=r"several formats: COCO \(all.json\), Pascal VOC \(voc/"):
        read_data(coco, 0.2, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["annotations"].clear(), "0 boxes"),
        (lambda c: c["annotations"][0].update(image_id=99), "1 annotation of an image or a"),
        (lambda c: c["annotations"][0].update(category_id=99), "or a category that is not"),
        (lambda c: c["images"][0].pop("width"), r"images\[0\]=.* lacks width; add it"),
        (lambda c: c["annotations"][1].pop("bbox"), r"annotations\[1\]=.* lacks bbox; add it"),
        (lambda c: c["images"][0].update(width="64"), r"1 images whose width .*--fix FOLDER"),
        (lambda c: c["images"].append(c["images"][0]), "1 images with the id of another"),
        (lambda c: c["categories"].append(dict(id=1, name="x")), "categories with the id of ano"),
        (
            lambda c: [a.update(bbox=[90, 90, 3, 3]) for a in c["annotations"]],
            "no box that can be learnt or measured by: .* boxes outside their image",
        ),
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


def test_an_image_that_cannot_be_read_is_named(coco):
    (coco / "images" / "4.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 images of zero bytes \(first: 4\.png\)"):
        read_data(coco, 0.2, 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("7 .5 .5 .1 .1", r"lines of another class than names has, 0 to 2: .*0\.txt:1 '7 "),
        ("-1 .5 .5 .1 .1", "lines of another class than names has"),
        ("cat .5 .5 .1 .1", "lines whose class is no whole number"),
        ("0.5 .5 .5 .1 .1", "lines whose class is no whole number"),
        ("0 .5 .5 .1", r"1 lines of fewer than five values: .*0\.txt:1 '0 .5 .5 .1'"),
        ("0 .5 x .1 .1", "lines with something else than finite numbers"),
        ("0 .5 nan .1 .1", "lines with something else than finite numbers"),
        ("0 32 32 10 10", "lines in pixels: .*as parts of the image's, between 0 and 1"),
        ("0 .5 .5 -.1 .1", "boxes of negative width or height"),
        ("0 .5 .5 .1 .1\n\n1 .5", r"1 lines of fewer .*0\.txt:3 '1 .5'"),
        (b"\xff\xfe\x00", r"1 files that are no text: .*0\.txt"),
    ],
)
def test_labels_of_yolo_that_are_wrong_are_named(coco, tmp_path, line, message):
    yolo = as_yolo(coco, tmp_path / "yolo")
    file = yolo / "labels" / "train" / "0.txt"
    file.write_bytes(line if isinstance(line, bytes) else line.encode())
    with pytest.raises(ValueError, match=message):
        read_data(yolo, 0.2, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: [a, b", r"\.yaml is no YAML"),
        ("names: a", r"names='a' must be a list of classes"),
        ("names: {1: a, 2: b}", "counted from 0 without a gap"),
        ("names: [a, b]\nnc: 80", r"nc=80, and names has 2 classes: a, b\. Make them agree"),
        ("[a, b]", "0 of its .yaml files name classes, one has to: .*Give it names"),
    ],
)
def test_a_yaml_that_does_not_name_the_classes_is_refused(coco, tmp_path, content, message):
    yolo = as_yolo(coco, tmp_path / "yolo")
    (yolo / "data.yaml").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_data(yolo, 0.2, 0)


def test_numbered_names_and_lines_with_a_confidence_or_a_polygon_are_read(coco, tmp_path):
    yolo = as_yolo(coco, tmp_path / "yolo")
    names = "".join(f"\n  {number}: {name}" for number, name in enumerate(CLASSES))
    (yolo / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames:{names}\n")
    file = yolo / "labels" / "train" / "0.txt"
    file.write_text("1 .5 .5 .5 .25 .9\n0 .25 .25 .5 .25 .5 .5\n")
    found = boxes_of(read_data(yolo, 0.2, 0).train)["0.png"]
    assert found == [(CLASSES[0], 16, 16, 16, 16), (CLASSES[1], 16, 24, 32, 16)]


def test_a_polygon_with_a_hole_is_an_object_and_no_crowd(coco, tmp_path):
    yolo = as_yolo(coco, tmp_path / "yolo")
    ring = "0 .1 .1 .9 .1 .9 .9 .1 .9 .1 .1 .3 .3 .3 .7 .7 .7 .7 .3 .3 .3"
    (yolo / "labels" / "train" / "0.txt").write_text(ring)
    found = read_data(yolo, 0.2, 0).train.content
    (image,) = [image["id"] for image in found["images"] if image["file_name"] == "0.png"]
    (box,) = [box for box in found["annotations"] if box["image_id"] == image]
    assert (box["iscrowd"], isinstance(box["segmentation"], dict)) == (0, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation><obj", r"1 files that are no whole XML: .*3\.xml"),
        ("", "files that are no whole XML"),
        ("<svg/>", r"which do not begin with <annotation>: .*3\.xml begins with <svg>"),
        ("<annotation><object/></annotation>", r"objects without a name: .*3\.xml object 1"),
        (
            "<annotation><object><name>cat</name></object></annotation>",
            r"1 objects without a bndbox: .*3\.xml object 1",
        ),
        (
            "<annotation><object><name>cat</name><bndbox><xmin>a1</xmin></bndbox></object>"
            "</annotation>",
            r"four finite numbers: .*3\.xml object 1 xmin='a1'",
        ),
    ],
)
def test_files_of_pascal_voc_that_are_wrong_are_named(coco, tmp_path, content, message):
    voc = as_voc(coco, tmp_path / "voc")
    (voc / "Annotations" / "3.xml").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_data(voc, 0.2, 0)


def test_what_macos_and_editors_add_is_no_part_of_the_data(coco, tmp_path):
    yolo = as_yolo(coco, tmp_path / "yolo")
    (coco / ".ipynb_checkpoints").mkdir()
    shutil.copy(coco / "all.json", coco / ".ipynb_checkpoints" / "all-checkpoint.json")
    for folder in (coco, yolo):
        (folder / "__MACOSX").mkdir()
        for name in ("._all.json", "._data.yaml"):
            (folder / "__MACOSX" / name).write_bytes(b"\0\5\x16\7\xff")
    (yolo / "labels" / "train" / "._0.txt").write_bytes(b"\0\5\x16\7\xff")
    for folder in (coco, yolo):
        found = read_data(folder, 0.2, 0)
        assert_same(boxes_of(found.train) | boxes_of(found.val), truth(coco))
    for name in ("._0.png", "torn.png"):
        (yolo / "images" / "train" / name).write_bytes(b"\0\5\x16\7\xff")
        with pytest.raises(ValueError, match=rf"cannot be converted: .*{name}.* Mend the file, or"):
            read_data(yolo, 0.2, 0)
        (yolo / "images" / "train" / name).unlink()


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
    # The first one is not what finds the folder of all.
    for missing in ("0.png", "7.png"):
        (coco / "images" / missing).unlink()
    with pytest.raises(FileNotFoundError, match=r"2 of 10 images .*: 0\.png, 7\.png\. Add them"):
        read_data(coco, 0.2, 0)
    (voc / "JPEGImages" / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 annotation file of .* without an image .*: 0"):
        read_data(voc, 0.2, 0)
    # Images of other data beside it may have the same names.
    shutil.copytree(voc / "JPEGImages", tmp_path / "others")
    shutil.rmtree(coco / "images")
    with pytest.raises(FileNotFoundError, match=r"0\.png, 1\.png, .* are nowhere in"):
        read_data(coco, 0.2, 0)


def test_what_is_odd_is_said(coco, tmp_path):
    content = json.loads((coco / "all.json").read_text())
    content["annotations"][0]["bbox"] = [50, 50, 40, 3]
    content["annotations"][1]["bbox"] = [5, 5, 0, 3]
    content["annotations"][2]["bbox"] = [70, 5, 9, 9]
    content["categories"].append(dict(id=9, name="unseen"))
    content["categories"].append(dict(id=10, name="Unseen "))
    (coco / "all.json").write_text(json.dumps(content))
    notes = " / ".join(read_data(coco, 0.2, 0).notes)
    assert "train has no box of unseen" in notes
    assert "1 boxes outside their image (first: 2)" in notes
    assert "1 boxes less than a pixel wide or high (first: 1)" in notes
    assert "out of the image in part, which MMDetection clips: ids 0" in notes
    assert "differ by spaces or capitals alone: 'unseen' and 'Unseen '; are they one?" in notes
    voc = as_voc(coco, tmp_path / "voc")
    Image.new("RGB", (8, 8)).save(voc / "JPEGImages" / "bare.png")
    assert any(
        "1 image of" in note and "background: bare" in note for note in read_data(voc, 0.2, 0).notes
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
