import pytest
import torch
import views
from mmdet.models.task_modules import ATSSAssigner
from mmengine.structures import InstanceData

from tbd.distill.object_regions import find_object_regions

SIZES, STRIDES = [(12, 16), (6, 8), (3, 4)], [(8, 8), (16, 16), (32, 32)]
BOXES = [
    torch.tensor([[10.0, 12, 50, 60], [30, 20, 100, 90], [3, 3, 8, 9]]),
    torch.empty(0, 4),
    torch.tensor([[0.0, 0, 128, 96]]),
]


def squares(offset):
    rows = []
    for (height, width), (stride, _) in zip(SIZES, STRIDES, strict=True):
        rows += [
            [(x + offset) * stride, (y + offset) * stride, 4 * stride]
            for y in range(height)
            for x in range(width)
        ]
    return rows


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_main_region_is_what_mmdetections_atss_assigns(offset):
    regions = find_object_regions(views.ground_truth(BOXES), SIZES, STRIDES, offset)
    priors = torch.tensor([[x - r, y - r, x + r, y + r] for x, y, r in squares(offset)])
    for image, boxes in enumerate(BOXES):
        assigned = ATSSAssigner(topk=9).assign(
            InstanceData(priors=priors),
            [height * width for height, width in SIZES],
            InstanceData(bboxes=boxes, labels=torch.zeros(len(boxes), dtype=torch.long)),
        )
        found = torch.cat([level[image].flatten() for level in regions.main])
        assert found.tolist() == (assigned.gt_inds > 0).tolist()
        assert found.any() == (len(boxes) > 0)
    assert regions.count() == sum(level.sum() for level in regions.main)


def overlap(a, b):
    """IoU and DIoU of two boxes, from their definitions."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    iou = width * height / (sum(areas) - width * height)
    apart = (a[0] + a[2] - b[0] - b[2]) ** 2 / 4 + (a[1] + a[3] - b[1] - b[3]) ** 2 / 4
    diagonal = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    return iou, iou - apart / diagonal


@pytest.mark.parametrize("gamma", [0.25, 0.6])
def test_valuable_region_against_a_loop_over_locations_and_objects(gamma):
    regions = find_object_regions(views.ground_truth(BOXES), SIZES, STRIDES, 0.0, gamma)
    priors = squares(0.0)
    counts = [height * width for height, width in SIZES]
    for image, boxes in enumerate(BOXES):
        expected = [0.0] * len(priors)
        for box in boxes.tolist():
            pairs = [overlap([x - r, y - r, x + r, y + r], box) for x, y, r in priors]
            middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            candidates, start = [], 0
            for count in counts:
                nearest = sorted(
                    range(start, start + count),
                    key=lambda i: (priors[i][0] - middle[0]) ** 2 + (priors[i][1] - middle[1]) ** 2,
                )
                candidates += [pairs[i][0] for i in nearest[:9]]
                start += count
            values = torch.tensor(candidates, dtype=torch.float64)
            threshold = (values.mean() + values.std()).item()
            for index, (iou, diou) in enumerate(pairs):
                if gamma * threshold <= diou < threshold:
                    expected[index] = max(expected[index], iou)
        found = torch.cat([level[image].flatten() for level in regions.valuable])
        torch.testing.assert_close(found, torch.tensor(expected), atol=1e-5, rtol=1e-4)
        assert (found > 0).any() == (len(boxes) > 0)


def test_levels_of_one_cell_and_boxes_without_area():
    boxes = [torch.tensor([[4.0, 4, 60, 60], [10, 10, 10, 10]])]
    regions = find_object_regions(views.ground_truth(boxes), [(1, 1)], [(64, 64)])
    assert regions.main[0].shape == regions.valuable[0].shape == (1, 1, 1)
    assert regions.main[0].all()
    assert regions.valuable[0].isfinite().all()


def test_the_threshold_of_two_locations_has_their_deviation():
    # Of two different numbers, mean plus unbiased deviation is more than the larger one.
    boxes = [torch.tensor([[-60.0, -60, 64, 64]])]
    regions = find_object_regions(views.ground_truth(boxes), [(1, 2)], [(16, 16)])
    assert not regions.main[0].any()
    assert regions.valuable[0][0, 0, 0] > 0


def test_boxes_outside_the_image_belong_to_no_location():
    boxes = [torch.tensor([[500.0, 500, 600, 600]])]
    regions = find_object_regions(views.ground_truth(boxes), SIZES, STRIDES)
    assert not any(level.any() for level in (*regions.main, *regions.valuable))


def test_cells_may_be_oblong():
    """The square of 8 strides around the location of row 2 and column 1 is the object."""
    gt = views.ground_truth([torch.tensor([[-40.0, -6, 88, 26]])])
    regions = find_object_regions(gt, [(8, 4)], [(4, 16)])
    assert regions.main[0].nonzero().tolist() == [[0, 2, 1]]
    # Half a square further along either axis the IoU is a third.
    assert regions.valuable[0][0, 6, 1] == pytest.approx(1 / 3)
