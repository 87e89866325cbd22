"""A teacher without its batch norms teaches the same."""

import pytest
import tiny
import torch
from executed import TERMS, assert_equal_losses, build, losses, norms, pair
from probe_terms import probe, registered

from tbd.registry import MODELS


@pytest.fixture(autouse=True, scope="module")
def probe_terms():
    with registered():
        yield


@pytest.mark.parametrize("name", TERMS)
def test_folded_norms_change_no_loss(name):
    model, eager = build(name), build(name, teacher_execution=dict(fold_norms=False))
    assert norms(model.teacher)
    assert_equal_losses(model, eager)
    assert not norms(model.teacher)
    assert norms(eager.teacher)


def test_the_folded_teacher_predicts_what_it_did():
    model = build()
    inputs = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        before = model.teacher.bbox_head(model.teacher.extract_feat(inputs))
        losses(model)
        after = model.teacher.bbox_head(model.teacher.extract_feat(inputs))
    for one, other in zip(before, after, strict=True):
        for level, folded in zip(one, other, strict=True):
            torch.testing.assert_close(
                folded, level, rtol=1e-5, atol=1e-5 * float(level.abs().max())
            )


def test_until_the_first_batch_the_teacher_is_that_of_its_checkpoint(tmp_path):
    teacher = build().teacher
    expected = {key: value.clone() for key, value in teacher.state_dict().items()}
    torch.save(dict(state_dict=expected), tmp_path / "teacher.pth")
    _, config = pair("tbd")
    model = MODELS.build(
        tiny.wrapper(
            student=config,
            teacher=config,
            teacher_ckpt=str(tmp_path / "teacher.pth"),
            student_init="inherit",
        )
    )
    model.init_weights()
    assert all(torch.equal(model.teacher.state_dict()[key], expected[key]) for key in expected)
    assert torch.equal(
        model.student.bbox_head.retina_cls.weight, teacher.bbox_head.retina_cls.weight
    )
    keys = set(model.state_dict())
    losses(model.train())
    assert set(model.state_dict()) == keys


def test_convolutions_that_levels_share_with_norms_of_their_own_are_not_folded():
    config = tiny.retinanet(8, 16, type="RetinaSepBNHead", num_ins=3, stacked_convs=2)
    config["bbox_head"]["norm_cfg"] = dict(type="BN")
    options = dict(student=tiny.retinanet(), teacher=config)
    model, eager = (
        build(**options, teacher_execution=dict(fold_norms=fold)) for fold in (True, False)
    )
    assert_equal_losses(model, eager)
    assert norms(model.teacher) == norms(eager.teacher)


def test_a_convolution_whose_output_is_read_keeps_it():
    distill = probe("features", teacher_modules=["backbone.conv1"])
    model, eager = (
        build(distill=distill, teacher_execution=dict(fold_norms=fold)) for fold in (True, False)
    )
    for detector in (model, eager):
        losses(detector)
    seen, expected = (
        m.distill["probe"].seen[-1][1].outputs["backbone.conv1"][0] for m in (model, eager)
    )
    torch.testing.assert_close(seen, expected)
    assert norms(model.teacher) == ["backbone.bn1"]
