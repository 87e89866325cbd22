import pytest
import torch
from mmcv.ops import batched_nms

from tbd.engine.deployment.postprocessing import Candidates, Suppression, best_pairs


def random_boxes(images, count):
    generator = torch.Generator().manual_seed(0)
    low = 50 * torch.rand(images, count, 2, generator=generator)
    return torch.cat([low, low + 5 + 30 * torch.rand(images, count, 2, generator=generator)], dim=2)


def random_scores(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("across", [False, True])
def test_suppression_keeps_what_mmcv_keeps(across):
    boxes, scores = random_boxes(2, 200), random_scores(2, 200)
    groups = torch.arange(200).expand(2, -1) % 3
    found = Suppression(0.5, 50, across)(Candidates(boxes, scores, groups))
    for image in range(2):
        detections, kept = batched_nms(
            boxes[image],
            scores[image],
            groups[image],
            dict(type="nms", iou_threshold=0.5, class_agnostic=across),
        )
        count = min(len(kept), 50)
        there = found[1][image] > 0
        assert int(there.sum()) == count
        assert torch.equal(found[0][image][there], detections[:count, :4])
        assert torch.equal(found[1][image][there], detections[:count, 4])
        assert torch.equal(found[2][image][there], groups[image][kept[:count]])


def test_places_without_a_detection_are_told_apart():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 10], [20, 20, 30, 30]]])
    scores, groups = torch.tensor([[0.9, 0.8, 0.0]]), torch.tensor([[1, 1, 1]])
    found_boxes, found_scores, found_groups = Suppression(0.5, 4)(Candidates(boxes, scores, groups))
    assert found_scores.tolist() == [[pytest.approx(0.9), 0, 0, 0]]
    assert found_groups.tolist() == [[1, -1, -1, -1]]
    assert found_boxes.tolist() == [[[0, 0, 10, 10], [0] * 4, [0] * 4, [0] * 4]]


@pytest.mark.parametrize("limit", [7, 10_000, -1])
def test_the_best_pairs_are_those_above_the_threshold(limit):
    boxes, scores = random_boxes(2, 20), random_scores(2, 20, 3)
    found = best_pairs(boxes, scores, scores / 2, threshold=0.5, limit=limit)
    for image in range(2):
        expected = sorted(
            (
                (score / 2, label, tuple(boxes[image, row].tolist()))
                for row in range(20)
                for label, score in enumerate(scores[image, row].tolist())
                if score > 0.5
            ),
            reverse=True,
        )[: limit if limit > 0 else None]
        there = found.scores[image] > 0
        rows = zip(
            found.scores[image][there].tolist(),
            found.groups[image][there].tolist(),
            map(tuple, found.boxes[image][there].tolist()),
            strict=True,
        )
        assert sorted(rows, reverse=True) == expected
