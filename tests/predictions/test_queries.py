import pytest
import tiny
import torch
from mmdet.structures import DetDataSample
from torch import Tensor
from torch.testing import assert_close
from transformers import CLASSES, CONFIGS, LAYERS, QUERIES, transformer

from tbd.detectors import build_detector
from tbd.detectors.reader import DetectorReader, Reading
from tbd.distill import GroundTruth
from tbd.predictions import QueryReader, UnsupportedHeadError

pytestmark = pytest.mark.openmmlab

SIZES = [(96, 128), (128, 96)]


def build(name):
    torch.manual_seed(0)
    detector = build_detector(transformer(name))
    detector.init_weights()
    # Fresh heads place all boxes alike, which would hide a mistake in their order.
    for parameter in detector.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return detector


def batch(detector) -> tuple[Tensor, list[DetDataSample]]:
    data = tiny.batch(detector, sizes=SIZES)
    return data["inputs"], data["data_samples"]


def queries_in_training(detector, inputs, samples):
    reader = DetectorReader(detector, "student", Reading(frozenset({"queries"})))
    with reader.recorder() as record:
        losses = detector.loss(inputs, samples)
    return losses, reader.view(record, GroundTruth.of(inputs, samples), inputs).queries


@pytest.mark.parametrize("name", CONFIGS)
def test_layers_of_an_evaluating_detector_are_what_it_predicts_with(name):
    detector = build(name).eval()
    inputs, samples = batch(detector)
    reader = DetectorReader(detector, "teacher", Reading(frozenset({"queries"})))
    with torch.no_grad():
        with reader.first_stage_recorder() as record:
            reader.run(inputs, samples)
        expected = detector._forward(inputs, samples)
        predicted = detector.predict(inputs, samples, rescale=False)
    queries = reader.view(record, GroundTruth.of(inputs, samples), inputs).queries
    assert queries.denoising is None
    assert torch.equal(queries.cls_logits, expected[0])
    assert torch.equal(queries.centers_and_sizes, expected[1])
    channels = CLASSES + queries.background
    assert queries.cls_logits.shape == (LAYERS, 2, QUERIES, channels)
    assert len(queries.hidden) == LAYERS
    for image, (sample, (height, width)) in enumerate(zip(predicted, SIZES, strict=True)):
        boxes = queries.boxes[-1, image]
        boxes[:, 0::2].clamp_(0, width)
        boxes[:, 1::2].clamp_(0, height)
        for box in sample.pred_instances.bboxes:
            assert (boxes - box).abs().amax(dim=1).min() < 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_layers_of_a_training_detector_are_told_apart_from_denoising(name):
    detector = build(name).train()
    for module in detector.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(module, torch.nn.MultiheadAttention):
            module.dropout = 0.0
    inputs, samples = batch(detector)
    _, queries = queries_in_training(detector, inputs, samples)
    assert queries.cls_logits.requires_grad
    assert queries.centers_and_sizes.requires_grad
    assert queries.cls_logits.shape[:3] == queries.boxes.shape[:3] == (LAYERS, 2, QUERIES)
    assert (queries.denoising is not None) == (name == "dino")
    if queries.denoising is not None:
        assert queries.denoising.cls_logits.shape[2] > 0
        assert queries.denoising.hidden[0].shape[1] == queries.denoising.cls_logits.shape[2]
    # Matched queries do not look at those for denoising, so without them nothing changes.
    with torch.no_grad():
        expected = detector.eval()._forward(inputs, samples)
    assert_close(queries.cls_logits, expected[0], rtol=1e-4, atol=1e-4)
    assert_close(queries.centers_and_sizes, expected[1], rtol=1e-4, atol=1e-4)
    assert queries.hidden[-1].shape == (2, QUERIES, 256)


def test_recording_leaves_the_students_losses_as_they_are():
    detector = build("dino").train()
    inputs, samples = batch(detector)
    torch.manual_seed(3)
    plain = detector.loss(inputs, samples)
    torch.manual_seed(3)
    recorded, _ = queries_in_training(detector, inputs, samples)
    assert plain.keys() == recorded.keys()
    assert all(torch.equal(plain[key], recorded[key]) for key in plain)


def test_detectors_without_queries_are_refused():
    with pytest.raises(UnsupportedHeadError, match="RetinaNet does not predict from the queries"):
        QueryReader(build_detector(tiny.retinanet()))
