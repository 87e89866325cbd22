"""A teacher in half precision teaches almost the same, or is refused."""

import pytest
import torch
from executed import TERMS, assert_equal_losses, build, losses
from probe_terms import probe, registered


@pytest.fixture(autouse=True, scope="module")
def probe_terms():
    with registered():
        yield


@pytest.mark.parametrize("name", TERMS)
def test_a_teacher_in_bfloat16_is_read_in_float32(name):
    model = build(name, teacher_execution=dict(dtype="bf16"))
    assert_equal_losses(model, build(name), tolerance=0.1)
    assert model.teacher.backbone.conv1.weight.dtype == torch.bfloat16


def test_weights_beyond_float16_are_refused():
    model = build(teacher_execution=dict(dtype="fp16"))
    model.teacher.neck.lateral_convs[0].conv.weight.data[0] = 1e5
    with pytest.raises(ValueError, match=r"dtype='fp16'.*lateral_convs\.0.*1e\+05.*bf16"):
        losses(model)


def test_outputs_beyond_float16_are_refused():
    model = build(teacher_execution=dict(dtype="fp16"))
    model.teacher.neck.fpn_convs[0].conv.bias.data[:] = 6e4
    model.teacher.neck.fpn_convs[0].conv.weight.data[:] *= 1e4
    with pytest.raises(FloatingPointError, match=r"teacher_execution.dtype"):
        losses(model)


def test_a_teacher_in_full_precision_is_so_under_autocast():
    model = build(teacher_execution=dict(dtype="fp32"), distill=probe("features"))
    losses(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses(model)
    (_, exact), (_, mixed) = model.distill["probe"].seen
    assert all(torch.equal(a, b) for a, b in zip(exact.features, mixed.features, strict=True))
