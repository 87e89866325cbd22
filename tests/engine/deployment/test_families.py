"""onnxruntime against MMDetection's own predictions, one student of every family."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from deployed import (
    DENSE,
    IMAGE,
    SIZE,
    build,
    dense_detector,
    exported,
    noise,
    query_detector,
    two_stage_detector,
)
from mmdet.models.detectors import DDQDETR

from tbd.engine.deployment import UnexportableError
from tbd.engine.deployment.graph import build_detections, build_graph
from tbd.engine.deployment.verification import compare_on, raw_agreement

OWN_CHOICE = ("paa", "yolact")
"""Families that choose detections in a way of their own."""


def assert_detects_the_same(detector, size=SIZE):
    image = replace(IMAGE, size=size, resize=size)
    found = compare_on(detector, exported(detector, image, end_to_end=True), noise(size=size))
    assert found.detections
    assert (found.missed, found.extra) == (0, 0)
    assert found.box < 0.05
    assert found.score < 1e-4


def assert_predicts_the_same(detector):
    box, score = raw_agreement(build_graph(detector), exported(detector), noise())
    assert box < 0.05
    assert score < 1e-4


@pytest.mark.parametrize("name", [name for name in DENSE if name not in OWN_CHOICE])
def test_a_dense_head_detects_as_in_mmdetection(name):
    assert_detects_the_same(dense_detector(name))


@pytest.mark.parametrize("name", OWN_CHOICE)
def test_a_head_that_chooses_in_its_own_way_is_exported_up_to_that(name):
    detector = dense_detector(name)
    assert_predicts_the_same(detector)
    with pytest.raises(UnexportableError, match="without --end-to-end"):
        build_detections(build_graph(detector))


@pytest.mark.parametrize("name", ["tood", "vfnet", "reppoints", "rtmdet", "faster rcnn"])
def test_a_dynamic_graph_takes_other_sizes_than_it_was_traced_at(name):
    detector = two_stage_detector() if name == "faster rcnn" else dense_detector(name)
    image = replace(IMAGE, dynamic=True, divisor=32)
    found = exported(detector, image, end_to_end=True, dynamic=True)
    # One of no whole cells: boxes are clipped to the image and not to what pads it.
    for size in (SIZE, (160, 128), (75, 117)):
        (one,) = noise(1, size)
        agreement = compare_on(detector, found, [one])
        assert agreement.detections
        assert (agreement.missed, agreement.extra) == (0, 0)
    pixels = np.stack(noise(2)).astype(np.uint8)
    together = found.session.run(None, {"image": pixels})
    for index, output in enumerate(found.session.run(None, {"image": pixels[1:]})):
        np.testing.assert_allclose(together[index][1:], output, atol=1e-3)


def test_faster_rcnn_detects_as_in_mmdetection():
    assert_detects_the_same(two_stage_detector())


@pytest.mark.parametrize("agnostic", [True, False])
def test_the_stages_of_a_cascade_refine_one_another(agnostic):
    model = tiny.cascade_rcnn()
    for head in model["roi_head"]["bbox_head"]:
        head["reg_class_agnostic"] = agnostic
    assert_detects_the_same(build(model))


def test_a_cascade_with_heads_of_its_own_is_refused():
    detector = build(tiny.cascade_rcnn())
    detector.roi_head.__class__ = type(
        "OwnRoIHead", (type(detector.roi_head),), {"_bbox_forward": lambda self: None}
    )
    with pytest.raises(UnexportableError, match="OwnRoIHead feeds its box heads in a way of its"):
        build_graph(detector)


def test_ddq_is_refused_with_the_reason():
    detector = query_detector("dino")
    detector.__class__ = DDQDETR
    with pytest.raises(UnexportableError, match=r"DDQ suppresses queries .* no graph of that"):
        build_graph(detector)


@pytest.mark.parametrize("name", ["dino", "detr"])
def test_queries_detect_as_in_mmdetection(name):
    # Four levels of more than one row: PyTorch's exporter divides by zero for a single one.
    assert_detects_the_same(query_detector(name), size=(128, 96))


def test_without_suppression_in_the_graph_its_boxes_are_suppressed_as_in_mmdetection():
    # Its boxes reach far out of the image, to which MMDetection clips them before.
    detector = dense_detector("gfl")
    found = compare_on(detector, exported(detector), noise())
    assert (found.detections > 0, found.missed) == (True, 0)


@pytest.mark.parametrize("name", ["retinanet", "fcos"])
def test_boxes_and_scores_before_suppression_are_those_of_the_adapter(name):
    assert_predicts_the_same(dense_detector(name))
