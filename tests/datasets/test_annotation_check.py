import json

import numpy as np
import pytest
from faulty_data import box, content, write
from mmdet.datasets import CocoDataset
from PIL import Image

from tbd.datasets.annotation_check import check_annotations, read_annotations
from tbd.datasets.data_report import DataReport
from tbd.datasets.image_check import DEEP, ROTATED

NAN, INFINITE = float("nan"), float("inf")

LEFT_OUT = {
    "boxes of negative width or height": box(1, bbox=[9, 9, -5, 5]),
    "boxes less than a pixel wide or high": box(1, bbox=[9, 9, 0, 5]),
    "annotations whose area is not positive": box(1, area=0),
    "boxes outside their image": box(1, bbox=[70, 4, 20, 20]),
    "annotations of a category that is not in the file": box(1, category=7),
}
STOP = {
    "boxes with nan": box(1, bbox=[NAN, 4, 20, 20]),
    "infinite boxes": box(1, bbox=[4, 4, INFINITE, 20]),
    "boxes that are not four numbers": box(1, bbox=[4, 4, 20]),
    "annotations without an area, which MMDetection reads": box(1, area=None),
    "annotations with the id of another": box(0),
}


def kinds(report, severity):
    return {finding.kind: finding.ids for finding in report.of(severity)}


def test_a_sound_file_has_no_findings():
    report = check_annotations(content(box(0), box(1, image=1, category=1)), "file")
    assert report.findings == ()
    assert (report.images, report.annotations, report.usable) == (2, 2, 2)


def test_boxes_of_a_category_that_is_not_learnt_are_counted():
    report = check_annotations(content(box(0), box(1, category=1)), "file", ("bar",))
    assert report.usable == 1
    unnamed = "boxes of a category that metainfo.classes does not name"
    assert kinds(report, "left out") == {unnamed: (1,)}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_what_mmdetection_leaves_out_is_counted(tmp_path, kind):
    data = content(box(0), LEFT_OUT[kind])
    report = check_annotations(data, "file")
    assert kinds(report, "left out") == {kind: (1,)}
    # What MMDetection itself keeps of them is the reference.
    dataset = CocoDataset(
        ann_file=str(write(tmp_path, data)),
        data_prefix=dict(img=""),
        metainfo=dict(classes=("bar", "tile")),
    )
    kept = sum(len(dataset.get_data_info(i)["instances"]) for i in range(len(dataset)))
    assert report.usable == kept == 1


@pytest.mark.parametrize("kind", STOP)
def test_what_spoils_a_training_is_counted(kind):
    report = check_annotations(content(box(0), STOP[kind]), "file")
    assert list(kinds(report, "stop")) == [kind]


# Within 64 × 48 pixels as corners; four of ten reach out of them as x, y, width and height.
CORNERS = [[4, 4, 24, 24]] * 6 + [[30, 20, 60, 40]] * 4


def test_corners_in_place_of_sizes_stop():
    data = content(*(box(i, bbox=corners) for i, corners in enumerate(CORNERS)))
    (kind,) = kinds(check_annotations(data, "file"), "stop")
    assert "seem to be [x1, y1, x2, y2]" in kind
    sizes = [[x, y, right - x, bottom - y] for x, y, right, bottom in CORNERS]
    data = content(*(box(i, bbox=size) for i, size in enumerate(sizes)))
    assert check_annotations(data, "file").findings == ()


@pytest.mark.parametrize(
    "boxes",
    [CORNERS[:5] + CORNERS[-4:], [*CORNERS, [20, 20, 10, 10]], [*CORNERS, [30, 20, 65, 40]]],
    ids=["few", "one is no corners", "one does not fit as corners"],
)
def test_boxes_that_may_not_be_corners_are_noted_where_they_reach_out(boxes):
    data = content(*(box(i, bbox=item) for i, item in enumerate(boxes)))
    report = check_annotations(data, "file")
    assert report.of("stop") == []
    (ids,) = kinds(report, "note").values()
    assert ids == tuple(i for i, (x, _, width, _) in enumerate(boxes) if x == 30)


@pytest.mark.parametrize(("right", "noted"), [(10, False), (11, False), (12, True)])
def test_a_box_is_noted_when_more_than_a_tenth_is_outside(right, noted):
    # Of a width of 10 to 12, 10 pixels are inside.
    report = check_annotations(content(box(0, bbox=[54, 4, right, 20])), "file")
    assert bool(report.findings) == noted


def test_annotations_of_an_unknown_image_are_counted():
    report = check_annotations(content(box(0, image=9)), "file")
    assert list(kinds(report, "left out")) == ["annotations of an image that is not in the file"]


def test_crowd_teaches_nothing_and_is_no_fault():
    report = check_annotations(content(box(0, iscrowd=1)), "file")
    assert report.usable == 0
    assert list(kinds(report, "note")) == ["crowd or ignored regions, which teach no box"]


def test_two_images_of_one_file_are_noted():
    data = content(box(0), box(1, image=1))
    data["images"][1]["file_name"] = data["images"][0]["file_name"]
    kind = "images of a file that another has, whose boxes are background there"
    report = check_annotations(data, "file")
    assert kinds(report, "note") == {kind: (data["images"][0]["file_name"],)}


def test_images_of_no_size_and_of_one_id_are_found():
    data = content(box(0))
    data["images"][0]["width"] = 0
    data["images"][1]["id"] = 0
    found = kinds(check_annotations(data, "file"), "stop")
    assert found["images with the id of another"] == (0,)
    assert "images whose width or height is no positive number" in found


@pytest.mark.parametrize("check", ["header", "pixels"])
def test_images_are_opened(tmp_path, check):
    data = content(box(0), images=7)
    file = write(tmp_path, data)
    (tmp_path / "0.jpg").unlink()
    (tmp_path / "1.jpg").write_bytes(b"")
    (tmp_path / "2.jpg").write_bytes((tmp_path / "2.jpg").read_bytes()[:400])
    Image.new("RGB", (32, 48)).save(tmp_path / "3.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (48, 64)).save(tmp_path / "4.jpg", exif=exif)
    deep = Image.fromarray(np.zeros((48, 64), np.uint16))
    deep.save(tmp_path / "6.jpg", "PNG")
    report = check_annotations(data, str(file), None, tmp_path, check)
    assert kinds(report, "stop") == {
        "images that are not there": ("0.jpg",),
        "images of zero bytes": ("1.jpg",),
        "images that cannot be read to the end": ("2.jpg",),
    }
    assert kinds(report, "note") == {
        "images of another size than annotated": ("3.jpg",),
        ROTATED: ("4.jpg",),
        DEEP: ("6.jpg",),
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (json.dumps(content(box(0))).encode()[:90], "no whole JSON file .*cut short"),
        ("{}".encode("utf-16"), "no whole JSON file"),
        (b"[]", "a list, and must be a dict"),
        (b'{"images": []}', "'annotations' must be a list.* missing"),
        (
            b'{"images": [{"id": 1}], "annotations": [], "categories": []}',
            r"images\[0\]=.* lacks ",
        ),
        (b'{"images": [], "annotations": [], "categories": [3]}', r"categories\[0\]=3 lacks id"),
        (
            b'{"images": [], "annotations": [], "categories": [{"id": 1, "name": 3}]}',
            r"categories\[0\]\.name=3 must be a text",
        ),
    ],
)
def test_a_file_that_is_not_in_coco_format_is_named(tmp_path, data, message):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        read_annotations(tmp_path / "a.json")
    assert str(tmp_path / "a.json") in str(error.value)


def test_a_report_is_remembered_as_it_was():
    report = check_annotations(content(box(0), STOP["boxes with nan"]), "file")
    assert DataReport.of_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert str(report.findings[0]) == "1 boxes with nan (first: 1)"
