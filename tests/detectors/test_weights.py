import pytest
import tiny
import torch
from mmengine.config import ConfigDict
from torch import nn

from tbd.detectors import build_detector, resolve_model_config, student_state_dict
from tbd.detectors.weights import (
    inherit_from_teacher,
    load_strictly,
    load_teacher,
    without_pretrained,
)
from tbd.registry import MODELS


def detector(**options):
    return build_detector(resolve_model_config(tiny.retinanet(**options)))


def saved(path, state_dict, **meta):
    torch.save({"state_dict": state_dict, "meta": meta}, path)
    return str(path)


def test_weights_and_class_names_are_loaded(tmp_path):
    source, target = detector(), detector()
    path = saved(tmp_path / "t.pth", source.state_dict(), dataset_meta={"classes": ("a", "b", "c")})
    loaded = load_teacher(target, path)
    assert loaded.classes == ("a", "b", "c")
    assert loaded.num_keys == len(source.state_dict())
    for key, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[key], value)


def test_class_names_of_older_checkpoints(tmp_path):
    source = detector()
    path = saved(tmp_path / "t.pth", source.state_dict(), CLASSES=["a", "b"])
    assert load_teacher(detector(), path).classes == ("a", "b")


def test_bare_state_dict_says_no_classes(tmp_path):
    source = detector()
    torch.save(source.state_dict(), tmp_path / "t.pth")
    assert load_teacher(detector(), str(tmp_path / "t.pth")).classes is None


def test_student_of_an_earlier_distillation_can_teach(tmp_path):
    wrapper = MODELS.build(tiny.wrapper())
    target = detector()
    load_teacher(target, saved(tmp_path / "t.pth", wrapper.state_dict()))
    for key, value in wrapper.student.state_dict().items():
        assert torch.equal(target.state_dict()[key], value)


def test_weights_that_a_checkpoint_holds_twice_are_no_mismatch(tmp_path):
    source = detector().state_dict()
    key = "bbox_head.retina_cls.bias"
    copied = source | {"decoder.retina_cls.bias": source[key].clone()}
    loaded = load_teacher(detector(), saved(tmp_path / "t.pth", copied))
    assert loaded.num_keys == len(source)
    other = source | {"decoder.retina_cls.bias": source[key] + 1}
    with pytest.raises(ValueError, match=r"unexpected in the checkpoint: decoder\.retina_cls"):
        load_teacher(detector(), saved(tmp_path / "t.pth", other))


def test_other_width_names_the_first_mismatching_keys(tmp_path):
    path = saved(tmp_path / "t.pth", detector(width=8).state_dict())
    teacher = detector()
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    message = r"of another shape: backbone\.conv1\.weight \[8, 3, 7, 7\].*\[4, 3, 7, 7\].*more"
    with pytest.raises(ValueError, match=message):
        load_teacher(teacher, path)
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())


def test_other_architecture_names_missing_and_unexpected_keys(tmp_path):
    # Single-stage detectors rename an RPN's keys on loading, which must not hide the mismatch.
    other = build_detector(resolve_model_config(tiny.faster_rcnn()))
    path = saved(tmp_path / "t.pth", other.state_dict())
    with pytest.raises(ValueError, match=r"missing in the checkpoint.*[\s\S]*unexpected") as error:
        load_teacher(detector(), path)
    assert "bbox_head.retina_cls.weight" in str(error.value)
    assert "teacher_ckpt" in str(error.value)


def test_a_refusal_names_the_checkpoint_as_the_user_does():
    source = "checkpoint='a.pth'"
    with pytest.raises(
        ValueError, match=r"checkpoint='a\.pth' is not a checkpoint of the"
    ) as error:
        load_strictly(detector(), {}, source, role="config's student", advice="Take another.")
    assert "config's student RetinaNet" in str(error.value)
    assert str(error.value).endswith("Take another.")


def test_a_shape_that_differs_under_an_older_releases_key_is_reported_too():
    class Renaming(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *arguments):
            state_dict[prefix + "weight"] = state_dict.pop(prefix + "old")
            super()._load_from_state_dict(state_dict, prefix, *arguments)

    model = Renaming(2, 1, bias=False)
    assert load_strictly(model, {"old": torch.ones(1, 2)}, "a.pth") == 1
    assert torch.equal(model.weight, torch.ones(1, 2))
    with pytest.raises(ValueError, match=r"of another shape: [\s\S]*size mismatch for weight"):
        load_strictly(model, {"old": torch.ones(1, 3)}, "a.pth")


def test_student_state_dict_of_a_plain_detector_is_unchanged():
    plain = detector().state_dict()
    assert student_state_dict(plain).keys() == plain.keys()
    assert (
        student_state_dict({f"module.{key}": v for key, v in plain.items()}).keys() == plain.keys()
    )


def test_student_state_dict_of_a_wrapper_is_the_plain_detectors():
    wrapper = MODELS.build(tiny.wrapper())
    result = student_state_dict(wrapper.state_dict())
    assert list(result) == list(wrapper.student.state_dict())


def test_inherit_without_any_match_is_an_error():
    student, teacher = nn.Module(), nn.Module()
    student.neck, teacher.neck = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1)
    with pytest.raises(ValueError, match="student_init='inherit'"):
        inherit_from_teacher(student, teacher)


def test_inherit_reports_what_was_not_copied():
    student, teacher = nn.Module(), nn.Module()
    student.neck, teacher.neck = nn.Conv2d(1, 2, 1), nn.Conv2d(4, 2, 1)
    report = inherit_from_teacher(student, teacher)
    assert torch.equal(student.neck.bias, teacher.neck.bias)
    assert "1 of 2 tensors" in report
    assert "not copied: weight" in report


def test_pretrained_weights_are_left_out_and_other_initialisation_is_kept():
    normal = dict(type="Normal", layer="Conv2d", std=0.01)
    config = ConfigDict(
        backbone=dict(depth=18, init_cfg=dict(type="Pretrained", checkpoint="torchvision://r18")),
        heads=[dict(init_cfg=normal), dict(init_cfg=dict(type="Pretrained", checkpoint="x"))],
    )
    result = without_pretrained(config)
    assert result.backbone == dict(depth=18, init_cfg=None)
    assert result.heads == [dict(init_cfg=normal), dict(init_cfg=None)]
    assert config.backbone.init_cfg.type == "Pretrained"
