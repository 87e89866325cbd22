import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms

from tbd.studies.harmony.suppression import Candidates, find_rivals, suppress


def random_candidates(count, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 50, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 30, (count, 2))], axis=1)
    return Candidates(boxes, rng.random(count), rng.integers(0, 3, count))


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("threshold", [0.3, 0.6])
def test_keeps_what_mmcv_keeps(class_agnostic, threshold):
    found = random_candidates(200)
    config = dict(type="nms", iou_threshold=threshold, class_agnostic=class_agnostic)
    arrays = (found.boxes, found.scores, found.labels)
    _, expected = batched_nms(*map(torch.from_numpy, arrays), config)
    decided_by = suppress(found, threshold, class_agnostic)
    kept = np.flatnonzero(decided_by == np.arange(200))
    assert sorted(expected.tolist()) == kept.tolist()
    # Who suppresses is kept, and scores better.
    assert set(decided_by) == set(kept)
    assert (found.scores[decided_by] >= found.scores).all()


def test_the_worse_box_of_an_object_that_suppressed_the_better():
    boxes = np.array(
        [[0, 0, 10, 8], [0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [0, 0, 10, 10.0]]
    )
    # The last one is as good, but of another class.
    candidates = Candidates(boxes, np.array([0.9, 0.6, 0.7, 0.8, 0.5]), np.array([0, 0, 0, 0, 1]))
    decided_by = suppress(candidates, 0.5)
    assert decided_by.tolist() == [0, 0, 0, 3, 4]
    gt = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [80, 80, 90, 90]], float)
    first, second = find_rivals(candidates, decided_by, gt, np.array([0, 0, 0]), 0.3)
    assert (first.gt, first.kept, first.suppressed) == (0, 0, 1)
    assert (first.kept_iou, first.suppressed_iou) == pytest.approx((0.8, 1.0))
    assert first.lost == pytest.approx(0.2)
    # It suppressed nothing.
    assert (second.gt, second.kept, second.suppressed, second.lost) == (1, 3, 3, 0)


def test_objects_that_are_not_found_have_no_rivals():
    candidates = Candidates(np.array([[0, 0, 10, 10.0]]), np.array([0.2]), np.array([0]))
    decided_by = suppress(candidates, 0.5)
    gt = np.array([[0, 0, 10, 10.0]])
    assert not find_rivals(candidates, decided_by, gt, np.array([0]), score_thr=0.3)
    assert not find_rivals(candidates, decided_by, gt, np.array([1]), score_thr=0.1)
    nothing = Candidates(np.empty((0, 4)), np.empty(0), np.empty(0, int))
    assert not find_rivals(nothing, suppress(nothing, 0.5), gt, np.array([0]), 0.1)
    assert not find_rivals(candidates, decided_by, np.empty((0, 4)), np.empty(0, int), 0.1)
