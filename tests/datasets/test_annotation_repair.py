import json

import pytest
from faulty_data import box, content, write
from PIL import Image

from tbd.datasets.annotation_check import check_annotations, read_annotations
from tbd.datasets.annotation_repair import repair

NAN = float("nan")


def test_a_cleaned_copy_has_no_faults(tmp_path):
    data = content(
        box(0),
        box(1, bbox=[NAN, 4, 20, 20]),
        box(2, bbox=[9, 9, 0, 5]),
        box(3, area=0),
        box(4, category=7),
        box(4),
        box(5, image=1),
        box(6, image=2),
        images=3,
    )
    file = write(tmp_path / "data", data)
    before = file.read_bytes()
    Image.new("RGB", (32, 40)).save(tmp_path / "data" / "1.jpg")
    (tmp_path / "data" / "2.jpg").write_bytes(b"")
    changes = repair(file, tmp_path / "clean.json", tmp_path / "data")
    assert file.read_bytes() == before
    clean = read_annotations(tmp_path / "clean.json")
    assert [annotation["id"] for annotation in clean["annotations"]] == [0, 3, 5]
    assert clean["annotations"][1]["area"] == 400
    assert [(image["id"], image["width"]) for image in clean["images"]] == [(0, 64), (1, 32)]
    report = check_annotations(clean, "clean", None, tmp_path / "data", "pixels")
    assert report.findings == ()
    assert "1 boxes with nan left out" in changes
    assert "1 sizes of images corrected" in changes


def test_corners_become_position_and_size(tmp_path):
    corners = [[4, 4, 24, 24]] * 6 + [[30, 20, 60, 40]] * 4
    # The first has the area of its corners' product, the others have their own.
    boxes = [box(i, bbox=item, area=400 if i else 576) for i, item in enumerate(corners)]
    file = write(tmp_path, content(*boxes))
    changes = repair(file, tmp_path / "clean.json")
    clean = read_annotations(tmp_path / "clean.json")
    assert clean["annotations"][0] == box(0, bbox=[4, 4, 20, 20], area=400)
    assert clean["annotations"][9] == box(9, bbox=[30, 20, 30, 20], area=400)
    assert "10 boxes read as [x1, y1, x2, y2]" in changes
    assert check_annotations(clean, "clean").findings == ()


def test_a_byte_order_mark_goes(tmp_path):
    file = write(tmp_path, content(box(0)))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert repair(file, tmp_path / "clean.json") == []
    assert read_annotations(tmp_path / "clean.json") == content(box(0))


def test_no_file_is_replaced(tmp_path):
    file = write(tmp_path, content(box(0)))
    with pytest.raises(FileExistsError, match=r"replaces no file"):
        repair(file, file)


def test_what_cannot_be_kept_is_said(tmp_path):
    file = write(tmp_path, content(box(0, score=NAN)))
    with pytest.raises(ValueError, match="nan or infinity beside its boxes"):
        repair(file, tmp_path / "clean.json")
    assert not (tmp_path / "clean.json").exists()
    file.write_text(json.dumps(content(box(0)))[:50])
    with pytest.raises(ValueError, match="no whole JSON file"):
        repair(file, tmp_path / "clean.json")
