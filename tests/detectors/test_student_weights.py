import logging

import pytest
import torch
from mmengine.runner import load_checkpoint as load_as_mmengine
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from tiny import gfl, retinanet, wrapper

from tbd.detectors import build_detector, resolve_model_config
from tbd.registry import MODELS

pytestmark = pytest.mark.openmmlab


def save(path, model):
    torch.manual_seed(1)
    built = build_detector(resolve_model_config(model))
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter)
    torch.save({"state_dict": built.state_dict(), "meta": {}}, path)
    return built.state_dict()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "student.pth")


def assert_equal(found, expected, but=()):
    assert found.keys() == expected.keys()
    unequal = {key for key in found if not torch.equal(found[key], expected[key])}
    assert unequal == set(but)


def test_a_checkpoint_is_loaded_strictly(path):
    weights = save(path, retinanet())
    # What the checkpoint replaces is not fetched.
    student = retinanet()
    student["backbone"]["init_cfg"] = dict(type="Pretrained", checkpoint="/nowhere.pth")
    model = MODELS.build(wrapper(student=student, student_ckpt=path))
    assert_equal(model.student.state_dict(), weights)
    model.init_weights()
    assert_equal(model.student.state_dict(), weights)
    assert model.student_config.backbone.init_cfg.checkpoint == "/nowhere.pth"


def test_what_is_loaded_is_reported(path, monkeypatch):
    save(path, retinanet())
    reports = []
    monkeypatch.setattr(
        "tbd.detectors.teacher_student.print_log", lambda text, **_: reports.append(text)
    )
    model = MODELS.build(wrapper(student_ckpt=path))
    count = len(model.student.state_dict())
    assert f"student weights: {count} tensors from {path} (none missing, none unex" in reports[0]


def test_a_checkpoint_of_another_student_is_an_error(path):
    save(path, retinanet(classes=5))
    with pytest.raises(
        ValueError, match=r"student_ckpt=.*\n.*retina_cls\.weight \[10, 8, .* in the ch"
    ):
        MODELS.build(wrapper(student_ckpt=path))


def test_of_a_checkpoint_in_part_what_fits_is_loaded_and_the_rest_is_named(path, monkeypatch):
    weights = save(path, retinanet(classes=5))
    reports = []
    monkeypatch.setattr(
        "tbd.detectors.teacher_student.print_log", lambda text, **_: reports.append(text)
    )
    model = MODELS.build(wrapper(student_ckpt=path, student_ckpt_partial=True))
    model.init_weights()
    head = [f"bbox_head.retina_cls.{part}" for part in ("weight", "bias")]
    found = model.student.state_dict()
    assert_equal({**found, **dict.fromkeys(head, torch.zeros(1))}, weights, head)
    # As plain training would initialise it: a prior probability of 0.01.
    assert found[head[1]].unique().tolist() == pytest.approx([-4.595], abs=1e-3)
    assert f"{len(found) - 2} of {len(found)} tensors from {path}" in reports[0]
    assert "left as initialised: bbox_head.retina_cls.weight [10, 8, 3, 3] in the ch" in reports[0]


def test_a_checkpoint_of_which_nothing_fits_is_an_error(path):
    torch.save({"state_dict": {"layer.weight": torch.ones(2)}}, path)
    with pytest.raises(ValueError, match=r"nothing in it has the name and shape.*\n.*layer\.weig"):
        MODELS.build(wrapper(student_ckpt=path, student_ckpt_partial=True))


@pytest.mark.parametrize(
    "options",
    [dict(student_ckpt="a.pth", student_init="inherit"), dict(student_ckpt_partial=True)],
)
def test_options_that_contradict_each_other_are_an_error(options):
    with pytest.raises(ValueError, match="student_ckpt"):
        MODELS.build(wrapper(**options))


@pytest.mark.parametrize("by", ["mmengine", "torch", "wrapped"])
def test_a_plain_checkpoint_loads_as_the_student(path, by):
    weights = save(path, retinanet())
    model = MODELS.build(wrapper(distill={}))
    if by == "mmengine":
        load_as_mmengine(model, path)
    elif by == "torch":
        model.load_state_dict(weights)
    else:
        parent = torch.nn.ModuleDict({"module": model})
        parent.load_state_dict({f"module.{key}": value for key, value in weights.items()})
    assert_equal(model.student.state_dict(), weights)


def test_a_plain_checkpoint_that_fits_in_part_is_reported(path, monkeypatch):
    save(path, retinanet(classes=5))
    reports = []
    monkeypatch.setattr(
        "tbd.detectors.student_weights.print_log", lambda *args: reports.append(args)
    )
    model = MODELS.build(wrapper())
    load_as_mmengine(model, path)
    count = len(model.student.state_dict())
    ((text, _, level),) = reports
    assert f"is loaded as the student: {count - 2} of {count} tensors" in text
    assert "retina_cls.weight [10, 8, 3, 3] in the checkpoint, [6, 8, 3, 3] in the model" in text
    assert level == logging.WARNING


@pytest.mark.parametrize("prefix", ["", "student."])
def test_a_checkpoint_of_nothing_that_fits_is_not_loaded(prefix):
    checkpoint = {"state_dict": {f"{prefix}layer.weight": torch.ones(2)}}
    with pytest.raises(ValueError, match="load_from: nothing in this checkpoint"):
        _load_checkpoint_to_model(MODELS.build(wrapper()), checkpoint)


def test_checkpoints_of_distillations_load_as_before():
    model, other = MODELS.build(wrapper()), MODELS.build(wrapper())
    other.load_state_dict(model.state_dict())
    assert_equal(other.state_dict(), model.state_dict())
    with pytest.raises(RuntimeError, match=r"student\.bbox_head\.gfl_cls"):
        other.load_state_dict(MODELS.build(wrapper(student=gfl(), distill={})).state_dict())
