import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny import retinanet
from tiny_run import CLASSES, config_dict, write_config, write_data

from tbd.detectors import build_detector
from tbd.engine import prediction
from tbd.engine.prediction import predict


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """The two files that a training ends with, of random weights, and images."""
    folder = tmp_path_factory.mktemp("prediction")
    write_data(folder / "data", images=2)
    write_config(folder / "student.py", config_dict(folder / "data", retinanet()))
    torch.manual_seed(0)
    detector = build_detector(Config(dict(model=retinanet())).model)
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=detector.state_dict(), meta=meta), folder / "student.pth")
    return folder


def test_a_checkpoint_draws_into_every_image_of_a_folder(student, tmp_path):
    images = str(student / "data" / "images")
    found = predict(
        str(student / "student.pth"), [images, images], str(tmp_path / "out"), None, 0.0
    )
    names = ["0.png", "1.png", "0_2.png", "1_2.png"]
    assert [one.picture.name for one in found] == names
    for one in found:
        original = np.array(Image.open(one.image))
        drawn = np.array(Image.open(one.picture).convert("RGB"))
        assert drawn.shape == original.shape
        assert (drawn != original).any()
        assert sum(one.counts.values()) == len(one.found.scores) > 0
        assert set(one.counts) <= set(CLASSES)


def test_a_file_finds_what_its_checkpoint_finds(student, tmp_path):
    pytest.importorskip("onnxruntime")
    from tbd.engine.deployment import OnnxOptions, export_onnx

    exported = export_onnx(
        str(student / "student.py"),
        str(student / "student.pth"),
        str(tmp_path),
        how=OnnxOptions(end_to_end=True, images=1),
    )
    image = [str(student / "data" / "images" / "0.png")]
    (expected,) = predict(str(student / "student.pth"), image, str(tmp_path))
    (found,) = predict(str(exported.path), image, str(tmp_path))
    np.testing.assert_allclose(found.found.boxes, expected.found.boxes, atol=0.05)
    assert found.counts == expected.counts


def test_what_is_no_image_in_a_folder_is_passed_over(student, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(prediction, "print_log", lambda text, *_: said.append(text))
    images = tmp_path / "images"
    images.mkdir()
    (images / "0.jpg").write_bytes(b"no image")
    (images / "1.png").write_bytes((student / "data" / "images" / "1.png").read_bytes())
    checkpoint, out = str(student / "student.pth"), str(tmp_path / "out")
    (found,) = predict(checkpoint, [str(images)], out)
    assert found.image == images / "1.png"
    assert said == [f"{images}/0.jpg is not an image that OpenCV reads and is passed over"]
    with pytest.raises(ValueError, match=r"0\.jpg is not an image that OpenCV reads; give another"):
        predict(checkpoint, [str(images), str(images / "0.jpg")], out)
    (images / "1.png").unlink()
    with pytest.raises(ValueError, match="none of the 1 images is one that OpenCV reads"):
        predict(checkpoint, [str(images)], out)


def test_no_picture_takes_the_place_of_an_image_or_of_another_picture(student, tmp_path):
    for name in ("a.png", "a.bmp", "a_2.png"):
        Image.new("RGB", (64, 48)).save(tmp_path / name)
    before = (tmp_path / "a.png").read_bytes()
    found = predict(str(student / "student.pth"), [str(tmp_path)], str(tmp_path))
    assert (tmp_path / "a.png").read_bytes() == before
    assert [one.picture.name for one in found] == ["a_3.png", "a_4.png", "a_2_2.png"]
    out = predict(str(student / "student.pth"), [str(tmp_path)], str(tmp_path / "out"))
    assert len({one.picture for one in out}) == len(out) == 6


def test_a_preprocessor_beside_the_model_counts(student, tmp_path):
    pytest.importorskip("onnxruntime")
    from tbd.engine.deployment import OnnxOptions, export_onnx
    from tbd.engine.export import export_student

    cfg = Config.fromfile(student / "student.py")
    cfg.data_preprocessor = cfg.model.pop("data_preprocessor")
    beside = tmp_path / "beside.py"
    cfg.dump(beside)
    checkpoint = str(student / "student.pth")
    image = [str(student / "data" / "images" / "0.png")]
    (expected,) = predict(checkpoint, image, str(tmp_path), None, 0.0)
    export_student(str(beside), checkpoint, str(tmp_path / "plain"))
    how = OnnxOptions(end_to_end=True, images=1)
    onnx = export_onnx(str(beside), checkpoint, str(tmp_path), how=how)
    for model, config in (
        (checkpoint, str(beside)),
        (str(tmp_path / "plain" / "student.pth"), None),
        (str(onnx.path), None),
    ):
        (found,) = predict(model, image, str(tmp_path), config, 0.0)
        np.testing.assert_allclose(found.found.scores, expected.found.scores, atol=1e-4)


def test_names_of_classes_are_as_many_as_the_classes(student, tmp_path):
    cfg = Config.fromfile(student / "student.py")
    cfg.test_dataloader.dataset.metainfo = None
    cfg.dump(tmp_path / "bare.py")
    weights = torch.load(student / "student.pth")["state_dict"]
    torch.save(weights, tmp_path / "bare.pth")
    with pytest.raises(ValueError, match="tells 3 classes apart, but 80 have a name"):
        predict(str(tmp_path / "bare.pth"), [str(student / "data" / "images")], str(tmp_path))


def test_a_folder_that_cannot_be_written_is_named(student):
    inside = student / "student.pth" / "inside"
    with pytest.raises(OSError, match=r"--out-dir: .*inside/0\.png cannot be written"):
        predict(str(student / "student.pth"), [str(student / "data" / "images")], str(inside))


@pytest.mark.parametrize(
    ("model", "image", "error", "message"),
    [
        ("student.pth", "none.png", FileNotFoundError, "there is no image at"),
        ("student.pth", "empty", FileNotFoundError, r"there is no image \(\.jpg"),
        ("student.pth", "data/all.json", ValueError, "is not an image that OpenCV reads"),
        ("student.pth", "other.pth", ValueError, "other.pth is not an image that OpenCV reads"),
        ("other.pth", "data/images", FileNotFoundError, "give it with --config"),
        ("none.onnx", "data/images", FileNotFoundError, "there is no model at"),
        ("none.pth", "data/images", FileNotFoundError, "there is no model at"),
    ],
)
def test_what_is_missing_is_named(student, tmp_path, model, image, error, message):
    if model.endswith(".onnx"):
        pytest.importorskip("onnxruntime")
    (student / "empty").mkdir(exist_ok=True)
    (student / "other.pth").touch()
    with pytest.raises(error, match=message):
        predict(str(student / model), [str(student / image)], str(tmp_path / "out"))
    with pytest.raises(ValueError, match="--score-thr 7 must lie between 0 and 1"):
        predict(str(student / model), [str(student / image)], str(tmp_path / "out"), None, 7)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
