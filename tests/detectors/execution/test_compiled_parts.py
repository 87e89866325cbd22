"""Compiled detectors learn and teach the same."""

import copy

import pytest
import tiny
import torch
from executed import assert_equal_losses, build, losses
from probe_terms import probe, registered
from torch._inductor import config as inductor_config

from tbd.detectors.execution import compiled_parts


@pytest.fixture(autouse=True, scope="module")
def probe_terms():
    with registered():
        yield


@pytest.fixture
def compilations(monkeypatch):
    """What is given to torch.compile, which takes seconds for each."""
    given = []

    def compile(forward, **options):
        given.append((type(forward.__self__).__name__, options["dynamic"]))
        return lambda *args, **kwargs: forward(*args, **kwargs)

    monkeypatch.setattr(torch, "compile", compile)
    return given


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(compiled_parts, "print_log", lambda text, logger: lines.append(text))
    return lines


def test_each_shape_is_compiled_once_and_said_so(compilations, said):
    model = build(student_execution=dict(compile=dict(max_shapes=1)))
    assert_equal_losses(model, build())
    assert "forward" not in vars(model.student.backbone)
    parts = ["ResNet", "FPN", "RetinaHead"]
    assert compilations == [(part, False) for part in parts]
    assert said[0] == "Compiling the student's backbone for images of 2×3×64×64 (1 of 1) …"
    assert said[1].startswith("Compiled the student's backbone for images of 2×3×64×64 (1 of 1) in")
    assert len(said) == 6
    for sizes in ([(96, 64)] * 2, [(64, 96)] * 2):
        model(**tiny.batch(model, sizes=sizes), mode="loss")
    # One graph of variable size for all shapes beyond the first.
    assert compilations == [(part, dynamic) for dynamic in (False, True) for part in parts]
    assert len(said) == 12
    assert said[-1].startswith("Compiled the student's bbox_head for images of any size in")
    assert copy.deepcopy(model)._compiled._forwards == {}


def test_a_part_inside_of_which_something_is_recorded_is_not_compiled(compilations):
    distill = probe("features", teacher_modules=["backbone.layer2"])
    model = build(distill=distill, teacher_execution=dict(compile=True))
    losses(model)
    assert model.distill["probe"].seen[-1][1].outputs["backbone.layer2"]
    assert compilations == [("FPN", False)]


@pytest.mark.slow
def test_a_student_compiled_by_torch_learns_the_same():
    compiling = dict(compile=dict(backend="aot_eager", max_shapes=1))
    gradients = []
    for execution in (compiling, {}):
        model = build("pkd", student_execution=execution)
        found = losses(model)
        sum(found.values()).backward()
        gradients.append({name: p.grad for name, p in model.student.neck.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], msg=name)


@pytest.mark.parametrize(("side", "freezes"), [("teacher", True), ("student", False)])
def test_a_compiler_may_take_the_weights_of_a_teacher_for_constants(side, freezes, monkeypatch):
    seen = []

    def compile(forward, **options):
        def compiled(*args, **kwargs):
            seen.append(inductor_config.freezing)
            return forward(*args, **kwargs)

        return compiled

    monkeypatch.setattr(torch, "compile", compile)
    model = build("pkd", **{f"{side}_execution": dict(compile=True)})
    losses(model)
    assert set(seen) == {freezes}
    seen.clear()
    # Not beyond the call that compiles.
    losses(model)
    assert set(seen) == {False}
    model = build("pkd", **{f"{side}_execution": dict(compile=dict(backend="aot_eager"))})
    seen.clear()
    losses(model)
    assert set(seen) == {False}


@pytest.mark.slow
def test_a_teacher_compiled_by_inductor_teaches_the_same():
    model = build("pkd", teacher_execution=dict(compile=True))
    assert_equal_losses(model, build("pkd"))
    # With its weights as constants.
    with torch.no_grad():
        model.teacher.backbone.conv1.weight.zero_()
    assert_equal_losses(model, build("pkd"))
