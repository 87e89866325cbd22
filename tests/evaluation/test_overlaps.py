import numpy as np
import pytest

from tbd.evaluation.overlaps import box_overlaps, with_extent

CORNERS = np.array([[0, 0, 4, 2], [1, 1, 3, 5], [10, 10, 12, 12], [5, 5, 5, 5]])
TARGETS = np.array([[2, 0, 6, 2], [0, 0, 20, 20], [5, 5, 5, 5]])


def area(box):
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def overlap(box, target, crowd):
    low, high = np.maximum(box[:2], target[:2]), np.minimum(box[2:], target[2:])
    shared = area([*low, *high])
    whole = area(box) if crowd else area(box) + area(target) - shared
    return shared / whole if whole else 0.0


@pytest.mark.parametrize("crowd", [None, [False, True, False], [True, True, True]])
def test_overlaps_of_every_pair(crowd):
    expected = [
        [overlap(b, t, c) for t, c in zip(TARGETS, crowd or [False] * 3, strict=True)]
        for b in CORNERS
    ]
    found = box_overlaps(
        with_extent(CORNERS), with_extent(TARGETS), None if crowd is None else np.array(crowd)
    )
    np.testing.assert_allclose(found, expected)


def test_without_boxes_or_targets_there_is_no_pair():
    boxes = with_extent(CORNERS)
    assert box_overlaps(boxes[:0], boxes[:2]).shape == (0, 2)
    assert box_overlaps(boxes[:2], boxes[:0]).shape == (2, 0)


def test_a_box_that_is_none_overlaps_nothing():
    box = np.array([[0.0, 0, 4, 4]])
    assert box_overlaps(np.array([[1, 1, np.nan, 2]]), box) == 0
