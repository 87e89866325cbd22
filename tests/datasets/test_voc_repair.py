import pytest
from PIL import Image
from voc_data import CLASSES, SIZE, item, write

from tbd.datasets.voc_check import VocFolders, check_voc
from tbd.datasets.voc_repair import repair_voc


def folders(root, names="train.txt"):
    return VocFolders(str(root / names), str(root / "Annotations"), str(root / "JPEGImages"))


def test_a_cleaned_copy_has_no_faults_and_the_original_stays(tmp_path):
    root = tmp_path / "voc"
    names = write(
        root,
        SIZE + item() + item("nan", 5, 25, 25) + item(25, 5, 5, 25),
        SIZE + item(name="strange"),
        "!<annotation>",
        SIZE + item(),
        SIZE + item(40, 5, 60, 25),
    )
    names.write_text(names.read_text() + "0\n9\n")
    (root / "JPEGImages/4.jpg").write_bytes(b"")
    Image.new("RGB", (32, 48)).save(root / "JPEGImages/5.jpg")
    before = {path: path.read_bytes() for path in root.rglob("*.*")}
    changes = repair_voc(folders(root), tmp_path / "clean")
    assert {path: path.read_bytes() for path in root.rglob("*.*")} == before
    clean = VocFolders(
        str(tmp_path / "clean/train.txt"), str(tmp_path / "clean/Annotations"), f"{root}/JPEGImages"
    )
    report = check_voc(clean, "pixels")
    assert report.findings == ()
    # Objects of other classes are no fault of a file.
    assert (report.images, report.annotations) == (4, 3)
    assert sorted(changes) == [
        "1 annotation files that are no whole XML left out",
        "1 annotation files that are not there left out",
        "1 boxes outside their image left out",
        "1 boxes with nan left out",
        "1 images that are listed twice left out",
        "1 images that cannot be read left out",
        "1 inverted boxes, whose xmax is less than xmin or ymax than ymin left out",
        "1 sizes of images corrected",
    ]
    assert CLASSES[0] in (tmp_path / "clean/Annotations/1.xml").read_text()


def test_no_folder_is_replaced_and_none_left_half_written(tmp_path, monkeypatch):
    write(tmp_path / "voc")
    with pytest.raises(FileExistsError, match="replaces no file"):
        repair_voc(folders(tmp_path / "voc"), tmp_path / "voc")
    monkeypatch.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        repair_voc(folders(tmp_path / "voc"), tmp_path / "clean")
    assert [path.name for path in tmp_path.iterdir()] == ["voc"]
