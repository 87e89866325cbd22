import pytest
from mmdet.datasets import VOCDataset
from PIL import Image
from voc_data import CLASSES, SIZE, item, write

from tbd.datasets.voc_check import UNKNOWN, VocFolders, check_voc

SOUND = SIZE + item(name="tile")
STOP = {
    "boxes with nan": SIZE + item("nan", 5, 25, 25),
    "infinite boxes": SIZE + item(5, 5, "inf", 25),
    "boxes that are not four numbers": SIZE + item(5, 5, 25),
    "boxes of no width or height": SIZE + item(5, 5, 5, 25),
    "inverted boxes, whose xmax is less than xmin or ymax than ymin": SIZE + item(25, 5, 5, 25),
    "boxes outside their image": SIZE + item(70, 5, 90, 25),
    "objects without a name": SIZE + "<object><bndbox/></object>",
    "objects whose difficult is no integer": SIZE + item(more="<difficult>no</difficult>"),
}
IMAGE_STOP = {
    "annotation files that are no whole XML": "!<annotation><object>",
    "images whose annotated width or height is no positive integer": SIZE.replace("64", "0")
    + item(),
}


def check(root, *contents, images="none", **more):
    names = write(root, *contents)
    folders = VocFolders(
        str(names), str(root / "Annotations"), str(root / "JPEGImages"), CLASSES, **more
    )
    return check_voc(folders, images)


def kinds(report, severity):
    return {finding.kind: finding.ids for finding in report.of(severity)}


def test_a_sound_folder_has_no_findings(tmp_path):
    report = check(tmp_path, SOUND, images="pixels")
    assert report.findings == ()
    assert (report.images, report.annotations, report.usable) == (2, 2, 2)


@pytest.mark.parametrize("kind", STOP)
def test_boxes_that_spoil_a_training_are_counted(tmp_path, kind):
    report = check(tmp_path, STOP[kind])
    assert kinds(report, "stop") == {kind: ("1.xml object 0",)}
    assert report.usable == 1


@pytest.mark.parametrize("kind", IMAGE_STOP)
def test_files_that_cannot_be_used_are_named(tmp_path, kind):
    assert kinds(check(tmp_path, IMAGE_STOP[kind]), "stop") == {kind: ("1.xml",)}


def test_what_mmdetection_leaves_out_or_ignores_is_counted(tmp_path):
    small = SIZE + item(5, 5, 9, 9)
    difficult = SIZE + item(more="<difficult>1</difficult>")
    report = check(tmp_path, SIZE + item(name="Bar"), small, difficult, least=8)
    assert kinds(report, "left out") == {UNKNOWN: ("1.xml object 0",)}
    assert kinds(report, "note") == {
        "boxes smaller than filter_cfg.bbox_min_size": ("2.xml object 0",),
        "difficult objects, which teach no box": ("3.xml object 0",),
    }
    # What MMDetection itself makes of them is the reference.
    dataset = VOCDataset(
        data_root=str(tmp_path),
        ann_file="train.txt",
        data_prefix=dict(sub_data_root=""),
        metainfo=dict(classes=CLASSES),
        filter_cfg=dict(bbox_min_size=8),
    )
    boxes = [box for i in range(len(dataset)) for box in dataset.get_data_info(i)["instances"]]
    assert sum(not box["ignore_flag"] for box in boxes) == report.usable == 1
    assert sum(box["ignore_flag"] for box in boxes) == 2


def test_without_a_size_the_box_is_not_held_against_one(tmp_path):
    assert check(tmp_path, item(70, 5, 90, 25), images="header").findings == ()


def test_images_are_opened_and_repetitions_noted(tmp_path):
    names = write(tmp_path, SOUND, SOUND, SOUND)
    images = tmp_path / "JPEGImages"
    (images / "1.jpg").unlink()
    (images / "2.jpg").write_bytes((images / "2.jpg").read_bytes()[:300])
    Image.new("RGB", (32, 48)).save(images / "3.jpg")
    names.write_text("0\n1\n2\n3\n0\n9\n")
    report = check_voc(VocFolders(str(names), f"{tmp_path}/Annotations", str(images)), "header")
    assert kinds(report, "stop") == {
        "images that are not there": ("1.jpg",),
        "images that cannot be read to the end": ("2.jpg",),
        "annotation files that are not there": ("9.xml",),
    }
    assert kinds(report, "note") == {
        "images of another size than annotated": ("3.jpg",),
        "images that are listed twice": ("0",),
    }


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "train.txt is empty"), (b"\xff\xfea", "is no text in UTF-8")]
)
def test_a_list_that_names_no_image_is_refused(tmp_path, content, message):
    names = write(tmp_path)
    names.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        check_voc(VocFolders(str(names), "", ""))
