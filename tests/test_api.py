"""The way in from Python."""

import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny import retinanet, wrapper
from tiny_run import config_dict, write_config, write_data

import tbd
from tbd.compat import load_checkpoint
from tbd.studies import comparison
from tbd.studies.comparison.other_data import find_test_data


@pytest.fixture
def cfg(tmp_path):
    write_data(tmp_path / "data")
    return Config(config_dict(tmp_path / "data", wrapper(), epochs=1))


def test_a_loaded_config_is_trained_tested_and_exported(cfg, tmp_path):
    before = cfg.to_dict()
    trained = tbd.train(cfg, str(tmp_path / "out"), {"train_cfg.max_epochs": 2})
    assert cfg.to_dict() == before
    assert trained.work_dir == tmp_path / "out"
    assert trained.checkpoint == tmp_path / "out" / "epoch_2.pth"
    metrics = tbd.test(cfg, trained.checkpoint, str(tmp_path / "test"))
    # The training ended with a validation of the same student on the same images.
    assert metrics["coco/bbox_mAP"] == trained.metrics["coco/bbox_mAP"]
    exported = tbd.export(cfg, trained.checkpoint, tmp_path / "exported", "small")
    assert exported.checkpoint.name == "small.pth"
    # And it has exported the same student by itself.
    ours, theirs = (load_checkpoint(str(p)) for p in (exported.checkpoint, trained.student))
    for key, value in ours["state_dict"].items():
        assert torch.equal(value, theirs["state_dict"][key]), key
    assert Config.fromfile(str(exported.config)).model.type == "RetinaNet"
    pytest.importorskip("onnx")
    found = tbd.export(
        cfg, trained.checkpoint, tmp_path / "exported", "small", format="onnx", end_to_end=True
    )
    assert found.path == tmp_path / "exported" / "small.onnx"
    assert (found.info.end_to_end, found.agreement.missed) == (True, 0)


def test_options_of_another_format_are_refused(cfg, tmp_path):
    with pytest.raises(ValueError, match="half: options of ONNX files, which need format='onnx'"):
        tbd.export(cfg, "student.pth", tmp_path, half=True)
    with pytest.raises(ValueError, match="format='tflite' must be 'mmdet' or 'onnx'"):
        tbd.export(cfg, "student.pth", tmp_path, format="tflite")


def test_a_path_does_as_well(cfg, tmp_path):
    content = config_dict(tmp_path / "data", retinanet(), epochs=1)
    # Of an earlier run.
    tbd.files.write_file(tmp_path / "out" / "student.pth", "weights")
    path = Path(write_config(tmp_path / "plain.py", content))
    trained = tbd.train(path, tmp_path / "out")
    assert trained.student is None
    assert trained.checkpoint.is_file()
    with pytest.raises(TypeError, match="resume=True must be a text or None"):
        tbd.train(path, tmp_path / "out", resume=True)


def test_configs_are_compared_by_name(cfg, tmp_path, monkeypatch):
    asked = {}

    def compared(configs, seeds, work_dir, **settings):
        asked.update(configs=configs, seeds=seeds, **settings)
        tbd.files.write_file(f"{work_dir}/comparison.json", '{"summary": {"a": 1}, "runs": [2]}')
        return "table"

    monkeypatch.setattr(comparison, "compare", compared)
    plain = Config(config_dict(tmp_path / "data", retinanet()) | dict(limit=float("inf")))
    out = tmp_path / "out"
    found = tbd.compare({"plain": plain, "distilled": cfg}, (3,), out, baseline="plain")
    assert asked["configs"] == [str(out / "configs" / f"{n}.py") for n in ("plain", "distilled")]
    assert asked["baseline"] == asked["configs"][0]
    assert Config.fromfile(asked["configs"][0]).limit == float("inf")
    written = Config.fromfile(asked["configs"][1]).to_dict()
    assert written == cfg.to_dict()
    assert (found.table, found.summary, found.runs) == ("table", {"a": 1}, [2])
    with pytest.raises(ValueError, match="two configs are named RetinaNet"):
        tbd.compare([plain, plain], work_dir=out)
    with pytest.raises(ValueError, match="either configs or terms"):
        tbd.compare([plain], work_dir=out, terms=["hd"])


def test_a_comparison_on_other_data_gives_what_was_found_there(cfg, tmp_path, monkeypatch):
    out, data = tmp_path / "out", tmp_path / "data"
    measured = f"comparison_{find_test_data(data).name}.json"

    def compared(configs, seeds, work_dir, **settings):
        tbd.files.write_file(out / "comparison.json", '{"summary": {"a": 1}, "runs": [2]}')
        tbd.files.write_file(out / measured, '{"summary": {"a": 3}, "runs": [4]}')
        return "table"

    monkeypatch.setattr(comparison, "compare", compared)
    found = tbd.compare({"distilled": cfg}, work_dir=out, test_data=str(data))
    assert (found.summary, found.runs) == ({"a": 3}, [4])
    assert tbd.compare({"distilled": cfg}, work_dir=out).summary == {"a": 1}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: tbd.train(dict(model=1)),
            r"config=\{'model': 1\} must be a config file or a load",
        ),
        (lambda: tbd.compare("student.py"), r"configs must be a list, and is 'student\.py'"),
        (lambda: tbd.compare(Config()), r"configs must be a list, and is one config"),
        (lambda: tbd.compare(terms="tbd"), r"terms must be a list, and is 'tbd'"),
        (lambda: tbd.compare(["student.py"], 3), r"seeds=3 must be a list"),
        (lambda: tbd.compare(["student.py"], ["3"]), r"seeds\[0\]='3' must be an integer"),
        (
            lambda: tbd.export("a.py", "b", "c", format="onnx", end_to_nd=True),
            r"OnnxOptions has no argument end_to_nd=True; did you mean end_to_end\?",
        ),
    ],
)
def test_arguments_of_another_kind_are_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_a_copied_folder_gives_its_own_checkpoint(cfg, tmp_path):
    tbd.train(cfg, str(tmp_path / "first"))
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    resumed = tbd.train(cfg, str(tmp_path / "copy"), resume="auto")
    assert resumed.checkpoint == tmp_path / "copy" / "epoch_1.pth"
