import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from tiny import retinanet, wrapper
from tiny_run import CLASSES, config_dict, write_config, write_data

from tbd.compat import load_checkpoint
from tbd.detectors import student_state_dict
from tbd.engine import export, export_student, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished distillation: its folder has run.py and work/."""
    folder = tmp_path_factory.mktemp("export")
    write_data(folder / "data")
    content = config_dict(folder / "data", wrapper(), epochs=2)
    # Weights that differ from the last iteration's tell whether averaging is respected.
    content["custom_hooks"] = [
        dict(type="EMAHook", momentum=0.3),
        dict(type="tbd.StopDistillationHook", epoch=1),
    ]
    train(write_config(folder / "run.py", content), str(folder / "work"))
    return folder


def load_exported(path):
    return torch.load(path, map_location="cpu", weights_only=True)


def test_the_student_loads_strictly_into_its_plain_config(run):
    config = Config.fromfile(str(run / "work/student.py"))
    checkpoint = load_exported(run / "work/student.pth")
    assert config.model.type == "RetinaNet"
    MODELS.build(config.model).load_state_dict(checkpoint["state_dict"], strict=True)
    assert tuple(checkpoint["meta"]["dataset_meta"]["classes"]) == CLASSES


def test_the_weights_are_the_averaged_ones(run):
    exported = load_exported(run / "work/student.pth")["state_dict"]
    checkpoint = load_checkpoint(run / "work/epoch_2.pth")
    averaged = student_state_dict(checkpoint["state_dict"])
    assert exported.keys() == averaged.keys()
    assert all(torch.equal(exported[key], averaged[key]) for key in exported)
    raw = checkpoint["ema_state_dict"]
    key = "bbox_head.retina_cls.weight"
    assert not torch.equal(exported[key], raw[f"module.student.{key}"])


def test_the_config_has_nothing_of_tbd_and_of_the_run(run):
    config = Config.fromfile(str(run / "work/student.py"))
    assert "tbd" not in config.pretty_text
    assert [hook.type for hook in config.custom_hooks] == ["EMAHook"]
    assert config.default_hooks.checkpoint.type == "CheckpointHook"
    for key in ("work_dir", "launcher", "custom_imports"):
        assert key not in config
    assert config.load_from is None
    assert config.resume is False


def test_stock_inference_gives_the_distilled_models_boxes(run):
    image = np.asarray(
        torch.randint(0, 256, (64, 64, 3), generator=torch.Generator().manual_seed(1)),
        dtype=np.uint8,
    )
    plain = init_detector(str(run / "work/student.py"), str(run / "work/student.pth"), device="cpu")
    whole = init_detector(str(run / "run.py"), None, device="cpu", cfg_options={"load_from": None})
    whole.load_state_dict(load_checkpoint(run / "work/epoch_2.pth")["state_dict"], strict=True)
    assert tuple(plain.dataset_meta["classes"]) == CLASSES
    expected = inference_detector(whole, image).pred_instances
    found = inference_detector(plain, image).pred_instances
    assert len(found) > 0
    for name in ("bboxes", "scores", "labels"):
        assert torch.equal(found[name], expected[name])


def test_the_tool_writes_the_files_of_the_hook(run, tmp_path):
    report = export_student(
        str(run / "run.py"), str(run / "work/epoch_2.pth"), str(tmp_path / "new"), "mine"
    )
    assert str(tmp_path / "new" / "mine.pth") in report
    ours, hooks = load_exported(tmp_path / "new/mine.pth"), load_exported(run / "work/student.pth")
    assert ours["state_dict"].keys() == hooks["state_dict"].keys()
    assert all(torch.equal(ours["state_dict"][k], v) for k, v in hooks["state_dict"].items())
    assert ours["meta"]["dataset_meta"] == hooks["meta"]["dataset_meta"]
    configs = [Config.fromfile(str(p)) for p in (tmp_path / "new/mine.py", run / "work/student.py")]
    assert configs[0].to_dict() == configs[1].to_dict()


def test_a_config_of_ones_own_is_not_replaced(run, tmp_path):
    text = f"_base_ = {str(run / 'run.py')!r}\n"
    (tmp_path / "student.py").write_text(text)
    checkpoint = str(run / "work/epoch_2.pth")
    with pytest.raises(FileExistsError, match=r"--out-dir=.*student\.py is a config that inherits"):
        export_student(str(tmp_path / "student.py"), checkpoint, str(tmp_path))
    # What was written here before is.
    for _ in range(2):
        export_student(str(tmp_path / "student.py"), checkpoint, str(tmp_path), "small")
    for name in ("student", "other"):
        (tmp_path / f"{name}.py").write_text(text)
        with pytest.raises(FileExistsError, match=r"work_dir=.*\.py is a config that inherits"):
            train(str(tmp_path / f"{name}.py"), str(tmp_path))
    assert (tmp_path / "student.py").read_text() == (tmp_path / "other.py").read_text() == text


def test_a_checkpoint_of_another_student_is_refused(run, tmp_path):
    content = config_dict(run / "data", wrapper(student=retinanet(width=8)))
    config = write_config(tmp_path / "other.py", content)
    with pytest.raises(ValueError, match=r"of another shape: backbone\.conv1\.weight"):
        export_student(config, str(run / "work/epoch_2.pth"), str(tmp_path / "new"))
    student = retinanet()
    student["bbox_head"]["stacked_convs"] = 2
    config = write_config(
        tmp_path / "deeper.py", config_dict(run / "data", wrapper(student=student))
    )
    with pytest.raises(ValueError, match=r"missing in the checkpoint: bbox_head\.cls_convs\.1"):
        export_student(config, str(run / "work/epoch_2.pth"), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_an_interrupted_export_leaves_the_old_file(run, tmp_path, monkeypatch):
    arguments = str(run / "run.py"), str(run / "work/epoch_2.pth"), str(tmp_path)
    export_student(*arguments)
    before = (tmp_path / "student.pth").read_bytes()

    def save_half(content, path):
        Path(path).write_bytes(before[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(export.torch, "save", save_half)
    with pytest.raises(KeyboardInterrupt):
        export_student(*arguments)
    assert (tmp_path / "student.pth").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["student.pth", "student.py"]


def test_parts_of_tbd_that_must_stay_are_named(run):
    content = config_dict(run / "data", wrapper())
    content["custom_imports"] = dict(imports=["tbd", "mine"])
    content["train_dataloader"]["dataset"]["type"] = "tbd.ShapesDataset"
    content["val_evaluator"] = [content["val_evaluator"], dict(type="tbd.HarmonyMetric")]
    content["test_evaluator"] = [dict(type="tbd.HarmonyMetric")]
    cfg = Config(content)
    before = copy.deepcopy(cfg.to_dict())
    plain = export.plain_config(cfg, Config(dict(model=retinanet())).model)
    assert cfg.to_dict() == before
    assert export.parts_of_tbd(plain) == ["train_dataloader.dataset", "test_evaluator.0"]
    assert plain.custom_imports.imports == ["tbd", "mine"]
    assert [metric.type for metric in plain.val_evaluator] == ["CocoMetric"]


def test_variables_of_config_files_that_name_tbd_go(run):
    content = config_dict(run / "data", wrapper())
    content["distillation"] = dict(terms=dict(hd=dict(type="tbd.HarmonyDistillation")))
    content["train_pipeline"] = [dict(type="PackDetInputs")]
    plain = export.plain_config(Config(content), Config(dict(model=retinanet())).model)
    assert "distillation" not in plain
    assert "custom_imports" not in plain
    assert plain.train_pipeline == content["train_pipeline"]


def test_a_detector_that_writes_into_its_config_is_built_again_after_export(run, tmp_path):
    class Writing(MODELS.get("RetinaNet")):
        def __init__(self, bbox_head, **options):
            if "written" in bbox_head:
                raise ValueError("bbox_head was written to before")
            head = dict(bbox_head)
            bbox_head["written"] = True
            super().__init__(bbox_head=head, **options)

    MODELS.register_module(name="Writing", module=Writing, force=True)
    student = retinanet() | dict(type="Writing")
    config = write_config(tmp_path / "run.py", config_dict(run / "data", wrapper(student=student)))
    export_student(config, str(run / "work/epoch_2.pth"), str(tmp_path / "new"))
    MODELS.build(Config.fromfile(str(tmp_path / "new/student.py")).model)


def test_a_config_of_classes_names_a_scope(run):
    content = config_dict(run / "data", wrapper()) | dict(default_scope=None)
    plain = export.plain_config(Config(content), Config(dict(model=retinanet())).model)
    assert plain.default_scope == "mmdet"


def test_imports_of_others_stay(run):
    content = config_dict(run / "data", wrapper())
    content["custom_imports"] = dict(imports=["tbd", "mine"])
    plain = export.plain_config(Config(content), Config(dict(model=retinanet())).model)
    assert plain.custom_imports.imports == ["mine"]


def test_weights_that_are_no_numbers_are_not_exported(run, tmp_path):
    checkpoint = load_checkpoint(run / "work/epoch_2.pth")
    checkpoint["state_dict"]["student.neck.fpn_convs.0.conv.bias"][0] = float("nan")
    torch.save(checkpoint, tmp_path / "bad.pth")
    (tmp_path / "student.pth").write_bytes(b"good")
    with pytest.raises(ValueError, match=r"bad\.pth.*neck\.fpn_convs\.0\.conv\.bias \(nan\)"):
        export_student(str(run / "run.py"), str(tmp_path / "bad.pth"), str(tmp_path))
    with pytest.raises(ValueError, match=r"the student: .*neck\.fpn_convs\.0\.conv\.bias \(nan\)"):
        export.write_student(checkpoint, Config(), tmp_path, "student")
    assert (tmp_path / "student.pth").read_bytes() == b"good"
