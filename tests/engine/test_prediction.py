import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny import retinanet
from tiny_run import CLASSES, config_dict, write_config, write_data

from tbd.detectors import build_detector
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
    assert [prediction.picture.name for prediction in found] == names
    for prediction in found:
        original = np.array(Image.open(prediction.image))
        drawn = np.array(Image.open(prediction.picture).convert("RGB"))
        assert drawn.shape == original.shape
        assert (drawn != original).any()
        assert sum(prediction.counts.values()) == len(prediction.found.scores) > 0
        assert set(prediction.counts) <= set(CLASSES)


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
