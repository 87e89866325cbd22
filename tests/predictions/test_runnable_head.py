"""A dense head that is run on other features than its detector's own."""

import pytest
import torch
from head_towers import build_towered, run_towers
from torch.testing import assert_close

from tbd.predictions import RunnableHead, build_adapter

pytestmark = pytest.mark.openmmlab


def test_gradients_flow_through_the_frozen_head_to_the_features():
    head, features = build_towered("retinanet")
    head.requires_grad_(False)
    _, _, found = run_towers(head, features)
    cls, reg = (
        [level.detach().clone().requires_grad_() for level in conv]
        for conv in (found.cls[1], found.reg[1])
    )
    predictions = RunnableHead(head).predict_from(2, cls, reg)
    logits = torch.autograd.grad(
        sum(level.sum() for level in predictions.cls_logits),
        cls + reg,
        allow_unused=True,
        retain_graph=True,
    )
    assert all(gradient.abs().sum() > 0 for gradient in logits[: len(cls)])
    assert all(gradient is None for gradient in logits[len(cls) :])
    boxes = torch.autograd.grad(sum(level.sum() for level in predictions.boxes), reg)
    assert all(gradient.abs().sum() > 0 for gradient in boxes)
    assert all(parameter.grad is None for parameter in head.parameters())


def test_features_of_half_precision_are_brought_to_the_heads():
    head, features = build_towered("retinanet")
    halves = [level.bfloat16() for level in features]
    predictions = RunnableHead(head).predict(halves)
    expected = build_adapter(head)(head(tuple(level.float() for level in halves)))
    for own, other in zip(predictions.boxes, expected.boxes, strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize("name", ["gfl", "rtmdet"])
def test_levels_that_are_compared_are_predicted_as_among_all(name):
    head, features = build_towered(name)
    _, output, found = run_towers(head, features)
    whole = build_adapter(head)(output)
    levels = (2, 0)
    part = (
        RunnableHead(head)
        .select(levels)
        .predict_from(
            1, *([conv[level] for level in levels] for conv in (found.cls[0], found.reg[0]))
        )
    )
    for index, level in enumerate(levels):
        assert_close(part.cls_logits[index], whole.cls_logits[level])
        assert_close(part.boxes[index], whole.boxes[level])


def test_a_level_that_is_paired_twice_cannot_be_run():
    head, features = build_towered("gfl")
    _, _, found = run_towers(head, features)
    doubled = RunnableHead(head).select((0, 0))
    with pytest.raises(ValueError, match=r"model\.level_map pairs a pyramid level of the GFLHead"):
        doubled.predict_from(1, found.cls[0][:2], found.reg[0][:2])
