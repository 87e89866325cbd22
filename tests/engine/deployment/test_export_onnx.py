import dataclasses
import json

import numpy as np
import pytest
import torch
from deployed import dense_detector
from mmengine.config import Config
from PIL import Image
from tiny import preprocessor, retinanet, wrapper
from tiny_run import CLASSES, config_dict, write_config, write_data

from tbd.detectors import build_detector
from tbd.engine.deployment import OnnxDetector, OnnxOptions, UnexportableError, export_onnx
from tbd.engine.deployment import export as export_module
from tbd.engine.deployment.verification import Agreement

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Data, a distillation's config and a checkpoint of its student, of random weights."""
    folder = tmp_path_factory.mktemp("deployment")
    write_data(folder / "data", images=3)
    write_config(folder / "run.py", config_dict(folder / "data", wrapper()))
    torch.manual_seed(0)
    student = build_detector(Config(dict(model=retinanet())).model)
    content = dict(state_dict=student.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES)))
    torch.save(content, folder / "student.pth")
    return folder


def export(folder, out, **options):
    how = OnnxOptions(images=2, **options)
    return export_onnx(str(folder / "run.py"), str(folder / "student.pth"), str(out), how=how)


@pytest.fixture(scope="module")
def end_to_end(trained, tmp_path_factory):
    return export(trained, tmp_path_factory.mktemp("exported"), end_to_end=True, evaluate=True)


def test_the_file_says_what_it_needs(end_to_end):
    properties = {p.key: p.value for p in onnx.load(end_to_end.path).metadata_props}
    assert json.loads(properties["classes"]) == list(CLASSES)
    image = json.loads(properties["image"])
    assert (image["size"], image["mean"], image["swap_channels"]) == (
        [64, 64],
        preprocessor()["mean"],
        True,
    )
    assert json.loads(properties["limits"])["iou_threshold"] == 0.5
    info = OnnxDetector(end_to_end.path).info
    assert info == end_to_end.info


def test_its_ap_is_that_of_mmdetection(end_to_end):
    torch_ap, onnx_ap = end_to_end.metrics.values()
    assert torch_ap.keys() == onnx_ap.keys()
    assert onnx_ap["coco/bbox_mAP_50"] == pytest.approx(torch_ap["coco/bbox_mAP_50"], abs=0.002)
    assert end_to_end.agreement.missed == 0
    assert "2 images of the test data" in end_to_end.report()


def test_the_report_explains_what_differs(end_to_end):
    small = {"coco/bbox_mAP": 0.3, "coco/bbox_mAP_l": -1.0}
    changed = dataclasses.replace(
        end_to_end, raw=(0.0, 0.0), agreement=Agreement(10, 2, 1), metrics={"MMDetection": small}
    )
    assert "8 of 10 found and 1 others; boxes" in changed.report()
    assert "nms_pre, the most candidates of a level, is not kept" in changed.report()
    # COCO's -1 is no AP.
    assert "AP 30.0, AP l –" in changed.report()
    nothing = dataclasses.replace(changed, agreement=Agreement(), metrics={"MMDetection": {}})
    assert "MMDetection has none on these images, so that none were compared" in nothing.report()
    assert "MMDetection: no detection, and so no AP" in nothing.report()
    bits = dataclasses.replace(
        changed, info=dataclasses.replace(end_to_end.info, precision="int8"), metrics={}
    )
    assert "--evaluate prints the AP before and after" in bits.report()
    assert not {"nms_pre", "--evaluate"} & set(end_to_end.report().split())


def test_a_dynamic_file_takes_images_of_any_size_at_once(trained, tmp_path):
    session = OnnxDetector(export(trained, tmp_path, dynamic=True).path).session
    for shape in ((1, 3, 64, 64), (2, 3, 96, 160)):
        boxes, scores = session.run(None, {"image": np.zeros(shape, np.float32)})
        cells = sum((shape[2] // stride) * (shape[3] // stride) for stride in (8, 16, 32))
        assert boxes.shape == (shape[0], 2 * cells, 4)
        assert scores.shape == (shape[0], 2 * cells, 3)


def test_half_precision_halves_the_weights_and_keeps_the_boxes(trained, tmp_path):
    found = export(trained, tmp_path, half=True)
    weights = onnx.load(found.path).graph.initializer
    halves = [w for w in weights if w.data_type == onnx.TensorProto.FLOAT16]
    assert sum(int(np.prod(w.dims)) for w in halves) > 0.9 * sum(
        int(np.prod(w.dims)) for w in weights
    )
    assert found.raw[1] < 0.01
    assert found.info.precision == "float16"


def test_eight_bits_are_calibrated_on_training_images(trained, tmp_path):
    found = export(trained, tmp_path, int8=True, end_to_end=True, evaluate=True)
    kinds = {node.op_type for node in onnx.load(found.path).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "NonMaxSuppression"} <= kinds
    assert list(found.metrics) == ["MMDetection", "onnxruntime, float32", "onnxruntime, int8"]
    assert OnnxDetector(found.path).info.precision == "int8"


def test_a_file_that_is_there_is_not_overwritten(trained, end_to_end):
    before = end_to_end.path.read_bytes()
    with pytest.raises(FileExistsError, match="--force overwrites it"):
        export(trained, end_to_end.path.parent)
    assert end_to_end.path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(opset=11), "opsets 16 to 20"),
        (dict(half=True, int8=True), "one precision"),
        (dict(images=0), "1 image or more"),
        (dict(input_size=(0, 640)), "--input-size 0 640: an image has at least 32 pixels"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_onnx("no.py", "no.pth", str(tmp_path), how=OnnxOptions(**options))


def test_a_graph_that_predicts_something_else_is_not_written(trained, tmp_path, monkeypatch):
    make = export_module.make_model

    def broken(detector, info, how):
        with torch.no_grad():
            detector.bbox_head.retina_cls.bias += 1
        model = make(detector, info, how)
        with torch.no_grad():
            detector.bbox_head.retina_cls.bias -= 1
        return model

    monkeypatch.setattr(export_module, "make_model", broken)
    with pytest.raises(ValueError, match="does not predict what MMDetection's detector predicts"):
        export(trained, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_graph_that_detects_more_is_not_written(trained, tmp_path, monkeypatch):
    make = export_module.make_model

    def generous(detector, info, how):
        cfg = detector.bbox_head.test_cfg
        usual = cfg.max_per_img
        cfg.max_per_img = 10 * usual
        model = make(detector, info, how)
        cfg.max_per_img = usual
        return model

    monkeypatch.setattr(export_module, "make_model", generous)
    with pytest.raises(ValueError, match=r"0 of \d+ detections are not found, [1-9]\d* others are"):
        export(trained, tmp_path / "out", end_to_end=True)
    assert not (tmp_path / "out").exists()


def test_deformable_convolutions_need_an_opset_that_has_them(tmp_path):
    from deployed import exported

    with pytest.raises(UnexportableError, match="from opset 19 on"):
        exported(dense_detector("reppoints"), opset=17)


def test_missing_packages_are_named(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'tbd\[onnx\]'"):
        export(trained, tmp_path)


def test_a_detector_runs_on_an_image_of_another_size(end_to_end):
    detector = OnnxDetector(end_to_end.path)
    image = np.array(Image.new("RGB", (200, 100), (90, 20, 200)))[:, :, ::-1]
    found = detector(np.ascontiguousarray(image))
    assert len(found.scores) == len(found.boxes) == len(found.labels) > 0
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [200, 100, 200, 100]).all()


def test_a_folder_that_cannot_be_made_is_named(trained, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="--out-dir: nothing can be written to"):
        export(trained, tmp_path / "file" / "folder")


def test_names_of_classes_and_paths_may_have_any_letters(trained, tmp_path):
    content = config_dict(trained / "data", retinanet())
    names = dict(classes=("größe", "二", "two words"))
    content["test_dataloader"]["dataset"]["metainfo"] = names
    config = write_config(tmp_path / "ein pfad.py", content)
    weights = dict(state_dict=torch.load(trained / "student.pth")["state_dict"], meta={})
    torch.save(weights, tmp_path / "gewichte ß.pth")
    found = export_onnx(
        str(config), str(tmp_path / "gewichte ß.pth"), str(tmp_path / "ö ö"), "é", how=OnnxOptions()
    )
    assert OnnxDetector(found.path).info.classes == names["classes"]


def test_as_many_names_as_classes(trained, tmp_path):
    content = config_dict(trained / "data", retinanet())
    content["test_dataloader"]["dataset"]["metainfo"] = dict(classes=("one", "two"))
    config = write_config(tmp_path / "run.py", content)
    weights = dict(state_dict=torch.load(trained / "student.pth")["state_dict"], meta={})
    torch.save(weights, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="tells 3 classes apart, but 2 have a name"):
        export_onnx(str(config), str(tmp_path / "weights.pth"), str(tmp_path), how=OnnxOptions())


def test_a_file_of_others_is_told_apart(tmp_path):
    node = onnx.helper.make_node("Identity", ["image"], ["boxes"])
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1])
        for name in ("image", "boxes")
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "graph", ends[:1], ends[1:]),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="has no metadata of tbd"):
        OnnxDetector(tmp_path / "other.onnx")
    (tmp_path / "half.onnx").write_bytes(b"half a file")
    with pytest.raises(ValueError, match="cannot run"):
        OnnxDetector(tmp_path / "half.onnx")
