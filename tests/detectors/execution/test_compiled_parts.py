"""Compiled detectors learn and teach the same."""

import copy

import pytest
import tiny
import torch
from executed import assert_equal_losses, build, losses
from probe_terms import probe, registered


@pytest.fixture(autouse=True, scope="module")
def probe_terms():
    with registered():
        yield


def test_compiled_detectors_teach_the_same_and_each_shape_is_compiled_once(caplog):
    compiling = dict(compile=dict(backend="eager", max_shapes=1))
    model = build(teacher_execution=compiling, student_execution=compiling)
    eager = build()
    assert_equal_losses(model, eager)
    assert "forward" not in vars(model.student.backbone)
    sizes = [(96, 64), (96, 64)]
    torch.manual_seed(2)
    other, expected = (
        m(**tiny.batch(m, sizes=sizes), mode="loss")["hd.loss_harmony"] for m in (model, eager)
    )
    torch.testing.assert_close(other, expected, rtol=1e-5, atol=1e-5)
    assert model._compiled._shapes == [(2, 3, 64, 64)]
    # Three parts, once for the fixed shape and once for all others.
    assert len(model._compiled._compiled) == 6
    other.backward()
    assert copy.deepcopy(model)._compiled._forwards == {}


def test_a_part_inside_of_which_something_is_recorded_is_not_compiled():
    distill = probe("features", teacher_modules=["backbone.layer2"])
    model = build(distill=distill, teacher_execution=dict(compile=dict(backend="eager")))
    losses(model)
    assert model.distill["probe"].seen[-1][1].outputs["backbone.layer2"]
    compiled = [part for part, _ in model._teacher._compiled._forwards.values()]
    assert model.teacher.neck in compiled
    assert model.teacher.backbone not in compiled


@pytest.mark.slow
def test_compiled_by_inductor():
    model = build(teacher_execution=dict(compile=True))
    assert_equal_losses(model, build())
