"""The measurements of a step measure what they say."""

import gc
import json
import os
import weakref
from dataclasses import asdict

import pytest
import tiny
import torch
from mmengine.config import ConfigDict
from transformers import transformer

from tbd.registry import MODELS
from tbd.studies import step_cost
from tbd.studies.harmony_cost import measure_growth
from tbd.studies.method_cost import measure_methods
from tbd.studies.step_cost import measure_memory, measure_times
from tbd.studies.step_profile import profile_step
from tbd.studies.stopwatch import stopwatch
from tbd.studies.trial_step import StepBatch, TrialStep, build_distillation

BATCH = StepBatch(batch_size=2, height=64, width=96, boxes=3)

PAIRS = {
    "dense": (tiny.retinanet(), tiny.retinanet(8, 16), {}),
    "rois": (
        tiny.faster_rcnn(),
        tiny.faster_rcnn(8, 16),
        dict(roi=dict(type="tbd.RoIDistillation")),
    ),
    "queries": (
        transformer("deformable"),
        transformer("deformable", width=8),
        dict(hd=None, tfd=None, queries=dict(type="tbd.QueryDistillation")),
    ),
}


def config(name: str) -> ConfigDict:
    student, teacher, distill = PAIRS[name]
    both = tiny.wrapper()["distill"] | distill
    return ConfigDict(tiny.wrapper(student=student, teacher=teacher, distill=both))


@pytest.mark.parametrize("name", PAIRS)
def test_every_part_of_a_step_of_any_pair_is_timed(name):
    torch.manual_seed(0)
    model = config(name)
    lines = []
    times = measure_times(model, BATCH, 1, lines.append, detailed=True, clock="cpu")
    terms = [key for key, value in model.distill.items() if value]
    assert list(times.parts) == [
        "preprocessing",
        "teacher as run",
        *(f"{term} {way}" for term in terms for way in ("forward", "backward")),
    ]
    assert min(times.plain, times.teacher, times.distilled, *times.parts.values()) > 0
    assert times.ratio == pytest.approx(times.distilled / (times.plain + times.teacher))
    assert times.over_plain == pytest.approx(times.distilled / times.plain)
    assert lines[0] == "warm-up done"
    assert len(lines) == 2


def test_memory_in_use_is_that_of_processes_that_keep_none(monkeypatch):
    name, kept = "MALLOC_MMAP_THRESHOLD_", []

    def peak(model, batch, steps, amp, distilled):
        kept.append(os.environ.get(name))
        return (150.0, 20.0) if distilled else (100.0, 0.0)

    monkeypatch.setattr(step_cost, "_in_fresh_process", peak)
    monkeypatch.delenv(name, raising=False)
    assert measure_memory(config("dense"), BATCH).ratio == pytest.approx(1.25)
    measure_memory(config("dense"), BATCH, in_use=True)
    assert name not in os.environ
    monkeypatch.setenv(name, "1")
    measure_memory(config("dense"), BATCH, in_use=True)
    assert os.environ[name] == "1"
    assert kept == [None, None, "65536", "65536", "65536", "65536"]


def test_a_measurement_of_memory_holds_no_weights(monkeypatch):
    alive = []

    class Step:
        def __init__(self, model, batch, amp):
            self.convolution = model.teacher.backbone.conv1

        def update(self):
            before = weakref.ref(self.convolution.weight)
            # As folded norms do.
            self.convolution.weight = torch.nn.Parameter(torch.zeros(1))
            gc.collect()
            alive.append(before() is not None)

    monkeypatch.setattr(step_cost, "TrialStep", Step)
    _, size = step_cost._peak(config("dense").to_dict(), asdict(BATCH), 1, None, True)
    assert size > 0
    assert alive == [False]


@pytest.mark.parametrize("name", PAIRS)
def test_a_term_alone_computes_what_it_does_in_a_step(name):
    torch.manual_seed(0)
    model = build_distillation(config(name))
    step = TrialStep(model, BATCH)
    torch.manual_seed(1)
    expected = model(**step.data, mode="loss")
    torch.manual_seed(1)
    views = model.observe(step.data["inputs"], step.data["data_samples"])
    for term, module in model.terms.items():
        student, teacher = views()
        for key, value in module(student, teacher).items():
            torch.testing.assert_close(value, expected[f"{term}.{key}"])
    forward, backward = step.forward_and_backward_of(next(iter(model.terms)))
    for _ in range(2):
        forward()
        backward()
    # Cut from the student's graph, it reaches no parameter of the student.
    assert all(parameter.grad is None for parameter in model.student.parameters())


def test_the_teacher_that_is_measured_against_is_never_sped_up():
    teacher = tiny.retinanet(8, 16)
    teacher["backbone"] = teacher["backbone"] | dict(norm_cfg=dict(type="BN"))
    model = MODELS.build(tiny.wrapper(teacher=teacher)).train()
    eager = model.eager_teacher()
    step = TrialStep(model, BATCH)
    step.update()
    eager.observe(step.data["inputs"], step.data["data_samples"], step.ground_truth)
    found = [
        sum(isinstance(part, torch.nn.BatchNorm2d) for part in detector.modules())
        for detector in (eager.detector, model.teacher)
    ]
    assert found[0] > 0
    assert found[1] == 0
    with pytest.raises(RuntimeError, match="copy it before"):
        model.eager_teacher()


def test_the_graph_grows_with_predictions_and_not_with_ground_truth():
    costs = list(measure_growth((1000, 2000), (1, 10, 300), rounds=1, clock="cpu"))
    assert [(c.predictions, c.ground_truths) for c in costs] == [
        (1000, 10),
        (2000, 10),
        (2000, 1),
        (2000, 10),
        (2000, 300),
    ]
    per_prediction = [c.graph / (c.overlapping * c.predictions) for c in costs]
    assert per_prediction == pytest.approx([per_prediction[0]] * 5, rel=0.02)


def test_the_steps_of_several_methods_are_compared():
    lines = []
    # The terms of frs follow a schedule, the weights of tbd-auto set themselves.
    terms = ["plain", "hd+pkd", "frs", "tbd-auto"]
    pair = "tbd::shapes/tbd_retinanet_shapes.py"
    costs = list(measure_methods(pair, terms, BATCH, 1, lines.append, clock="cpu", memory=False))
    assert [cost.terms for cost in costs] == terms[1:]
    # The teacher's forward belongs to the step, and to what it is measured against.
    assert all(cost.over_plain > cost.over_teacher > 0 for cost in costs)
    assert {cost.memory for cost in costs} == {None}
    assert [line for line in lines if line.endswith(":")] == [f"{name}:" for name in terms[1:]]
    assert lines.count("warm-up done") == 3


def test_settings_hold_for_all_methods():
    options = {"model.distill.pkd.level_weights": [1.0, 2.0]}
    pair = "tbd::shapes/tbd_retinanet_shapes.py"
    costs = measure_methods(pair, ["pkd"], BATCH, 1, print, options=options, memory=False)
    with pytest.raises(ValueError, match="level_weights"):
        next(costs)


def test_a_profile_names_modules_terms_and_operators(tmp_path):
    trace = tmp_path / "new" / "trace.json"
    text = profile_step(config("dense"), BATCH, trace=trace)
    for label in ("student.backbone", "teacher.bbox_head", "term.hd", "aten::convolution_backward"):
        assert label in text
    names = {event.get("name") for event in json.loads(trace.read_text())["traceEvents"]}
    assert {"teacher.neck", "term.tfd"} <= names


def test_clocks_are_checked():
    with pytest.raises(ValueError, match="clock='sun'"):
        stopwatch("sun", torch.device("cpu"))
    assert stopwatch("cpu", torch.device("cpu"))(lambda: sum(range(10000))) > 0
