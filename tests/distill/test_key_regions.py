from dataclasses import replace

import numpy as np
import pytest
import torch
from distilled import feature_spec
from views import ground_truth, view

from tbd.distill import HeadSpec
from tbd.distill.key_regions import SPREAD, key_regions, prediction_quality, region_weights
from tbd.predictions import DensePredictions


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def in_numpy(points, quality, boxes, top_k):
    """Weights of one image, an object at a time."""
    weights = np.zeros(len(points))
    for column, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        best = np.argsort(-quality[:, column].numpy(), kind="stable")[:top_k]
        positions = points.numpy()[best]
        covariance = np.cov(positions.T, bias=True).reshape(2, 2) + SPREAD * np.eye(2)
        for index, (x, y) in zip(best, positions, strict=True):
            offset = np.array([x, y]) - positions.mean(axis=0)
            if x1 < x < x2 and y1 < y < y2:
                density = np.exp(-0.5 * offset @ np.linalg.inv(covariance) @ offset)
                weights[index] = max(weights[index], density)
    return torch.from_numpy(weights)


@pytest.mark.parametrize("top_k", [1, 5, 12, 100])
def test_weights_equal_those_of_an_independent_computation(top_k):
    points, quality = 64 * random(40, 2), random(40, 2, seed=1)
    boxes = torch.tensor([[1.0, 1.0, 60.0, 63.0], [20.0, 20.0, 60.0, 60.0]], dtype=torch.float64)
    weights = region_weights(points, quality, boxes, top_k)
    torch.testing.assert_close(weights, in_numpy(points, quality, boxes, min(top_k, 40)))
    assert (weights > 0).any()


def test_locations_on_a_line_have_finite_weights():
    points = torch.arange(8.0)[:, None].expand(8, 2) * 100
    weights = region_weights(points, torch.ones(8, 1), torch.tensor([[-1.0, -1, 800, 800]]), 8)
    assert weights.isfinite().all()
    assert weights.argmax().item() in (3, 4)


def test_a_location_on_the_edge_of_a_box_is_outside_of_it():
    # The four sides, then a location between them.
    points = torch.tensor([[4.0, 8], [20, 8], [12, 4], [12, 12], [12, 8]])
    weights = region_weights(points, torch.ones(5, 1), torch.tensor([[4.0, 4, 20, 12]]), 5)
    assert weights.tolist() == [0, 0, 0, 0, 1]


def test_without_objects_nothing_is_weighed():
    weights = region_weights(random(9, 2), torch.zeros(9, 0), torch.zeros(0, 4), 3)
    assert (weights == 0).all()


def test_quality_balances_class_and_box():
    assert prediction_quality(torch.tensor(0.25), torch.tensor(0.5), 0.0) == 0.25
    assert prediction_quality(torch.tensor(0.25), torch.tensor(0.5), 1.0) == 0.5
    balanced = prediction_quality(torch.tensor(0.04), torch.tensor(0.5), 0.8)
    assert balanced.item() == pytest.approx(0.04**0.2 * 0.5**0.8)


def test_regions_follow_the_best_predictions_on_all_levels():
    objects = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    sizes, counts = [(8, 8), (4, 4)], [64, 16]
    logits = [torch.full((2, 2 * 3, *size), -9.0) for size in sizes]
    boxes = [torch.zeros(2, 2 * count, 4) for count in counts]
    # Two predictions hit the object: the second anchor of a fine cell, the first of a coarse one.
    for level, (row, column), anchor in ((0, (2, 3), 1), (1, (1, 1), 0)):
        logits[level][0, 3 * anchor + 2, row, column] = 9.0
        boxes[level][0, 2 * (row * sizes[level][1] + column) + anchor] = objects[0]
    # Two anchors of a location that are good, but not the best, do not count together.
    for anchor in range(2):
        logits[0][0, 3 * anchor + 2, 4, 4] = 9.0
        boxes[0][0, 2 * (4 * 8 + 4) + anchor] = objects[0] * torch.tensor([1, 1, 1, 0.8])
    # The same for another class does not count.
    logits[0][0, 0, 7, 7] = 9.0
    boxes[0][0, -1] = objects[0]
    head = HeadSpec("bbox_head", "Head", 3, (2, 2), "layout")
    spec = replace(feature_spec("teacher", 4, 4), head=head)
    teacher = replace(
        view(predictions=DensePredictions(logits, 3, lambda: boxes)),
        gt=ground_truth([objects, objects[:0]], [torch.tensor([2]), torch.tensor([]).long()]),
    )
    regions = key_regions(teacher, spec, exponent=0.8, top_k=2)
    found = [level.nonzero().tolist() for level in regions.weights]
    assert found == [[[0, 2, 3]], [[0, 1, 1]]]
    # Centres are in the middle of a cell, strides 8 and 16.
    inside = torch.zeros(8, 8)
    inside[1:5, 1:5] = 1
    torch.testing.assert_close(regions.background[0][0], 1 - inside)
    assert (regions.background[0][1] == 1).all()
    assert key_regions(teacher, spec, exponent=0.8, top_k=2) is regions
    # Ignored regions are no background either.
    gt = replace(teacher.gt, ignored=[objects[:0], objects])
    regions = key_regions(replace(teacher, gt=gt), spec, exponent=0.8, top_k=2)
    torch.testing.assert_close(regions.background[0], torch.stack([1 - inside] * 2))


def test_cells_may_be_oblong():
    head = HeadSpec("bbox_head", "Head", 1, (1,), "layout", strides=((4, 8),))
    spec = replace(feature_spec("teacher", 4), head=head)
    predictions = DensePredictions([torch.zeros(1, 1, 4, 4)], 1, lambda: [torch.zeros(1, 16, 4)])
    teacher = view([torch.tensor([[0.0, 0, 16, 8]])], predictions=predictions)
    background = torch.ones(1, 4, 4)
    background[0, :2, :2] = 0
    regions = key_regions(teacher, spec, exponent=0.8, top_k=2)
    torch.testing.assert_close(regions.background[0], background)
