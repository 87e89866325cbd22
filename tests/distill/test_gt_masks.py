from dataclasses import replace

import pytest
import torch
from views import ground_truth, view

from tbd.distill.gt_masks import (
    background_masks,
    near_object_masks,
    object_masks,
    scaled_mask,
    scaled_masks,
)

BOXES = torch.tensor([[3.0, 5.0, 17.0, 30.0], [8.0, 2.0, 21.0, 13.0]])


def in_loops(boxes, shown, size):
    """Weights of the objects' cells and of the others, a cell at a time."""
    height, width = size
    foreground = torch.zeros(size)
    for x1, y1, x2, y2 in boxes.tolist():
        left, right = int(x1 / shown[1] * width // 1), -int(-x2 / shown[1] * width // 1)
        top, bottom = int(y1 / shown[0] * height // 1), -int(-y2 / shown[0] * height // 1)
        weight = 1 / ((right + 1 - left) * (bottom + 1 - top))
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                if 0 <= row < height and 0 <= column < width:
                    foreground[row, column] = max(foreground[row, column].item(), weight)
    outside = (foreground == 0).float()
    return foreground, outside / max(outside.sum().item(), 1)


@pytest.mark.parametrize("size", [(5, 4), (10, 8), (3, 1), (1, 1)])
def test_weights_equal_those_of_loops(size):
    masks = scaled_mask(ground_truth([BOXES, BOXES[:1]], size=(40, 32)), size)
    for image, boxes in enumerate((BOXES, BOXES[:1])):
        foreground, background = in_loops(boxes, (40, 32), size)
        torch.testing.assert_close(masks.foreground[image], foreground)
        torch.testing.assert_close(masks.background[image], background)


def test_an_image_without_objects_is_all_background():
    masks = scaled_mask(ground_truth([torch.zeros(0, 4)], size=(40, 32)), (5, 4))
    assert (masks.foreground == 0).all()
    torch.testing.assert_close(masks.background, torch.full((1, 5, 4), 1 / 20))


def test_an_object_on_every_cell_leaves_no_background():
    masks = scaled_mask(ground_truth([torch.tensor([[0.0, 0, 32, 40]])], size=(40, 32)), (5, 4))
    assert (masks.foreground > 0).all()
    assert (masks.background == 0).all()


def test_ignored_regions_are_neither_object_nor_background():
    ignored = torch.tensor([[16.0, 16, 31, 31], [4, 6, 7, 9]])
    gt = ground_truth([BOXES[:1], BOXES[:0]], size=(40, 32))
    gt = replace(gt, ignored=[ignored, ignored[:1]])
    masks = scaled_mask(gt, (10, 8))
    objects, _ = in_loops(BOXES[:1], (40, 32), (10, 8))
    torch.testing.assert_close(masks.foreground[0], objects)
    for image, boxes in enumerate((torch.cat([BOXES[:1], ignored]), ignored[:1])):
        torch.testing.assert_close(masks.background[image], in_loops(boxes, (40, 32), (10, 8))[1])
    student = replace(view(features=(torch.zeros(2, 1, 10, 8),)), gt=gt)
    (covered,), (background,) = object_masks(student), background_masks(student)
    expected = torch.zeros(2, 10, 8)
    expected[:, 4:8, 4:8] = 1
    assert (background == (1 - covered) * (1 - expected)).all()
    assert (covered[1] == 0).all()


def test_objects_outside_of_the_image_have_no_cells():
    boxes = torch.tensor([[-40.0, -40, -20, -20], [100, 100, 120, 120], [-9, 3, 4, 12]])
    masks = scaled_mask(ground_truth([boxes], size=(40, 32)), (5, 4))
    inside = torch.zeros(5, 4)
    inside[0:3, 0:2] = 1 / (4 * 3)
    torch.testing.assert_close(masks.foreground[0], inside)


def test_boxes_lie_on_the_map_of_the_padded_input_unless_stretched():
    gt = replace(ground_truth([BOXES], size=(80, 64)), image_sizes=((40, 32),))
    placed = scaled_mask(gt, (10, 8)).foreground[0]
    stretched = scaled_mask(gt, (10, 8), stretch_boxes=True).foreground[0]
    torch.testing.assert_close(placed, in_loops(BOXES, (80, 64), (10, 8))[0])
    torch.testing.assert_close(stretched, in_loops(BOXES, (40, 32), (10, 8))[0])


def test_masks_of_all_levels_are_made_once_for_a_step():
    student = view([BOXES], features=(torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 1, 1)))
    masks = scaled_masks(student)
    assert [mask.foreground.shape for mask in masks] == [(1, 8, 8), (1, 1, 1)]
    assert scaled_masks(student) is masks
    assert scaled_masks(student, stretch_boxes=True) is not masks


def test_objects_cover_the_cells_that_they_touch():
    boxes = torch.tensor([[8.0, 8.0, 16.0, 17.0], [30.0, 39.0, 30.0, 39.0]])
    student = view([boxes, boxes[:0]], features=(torch.zeros(2, 1, 5, 4),))
    student = replace(student, gt=ground_truth([boxes, boxes[:0]], size=(40, 32)))
    expected = torch.zeros(2, 5, 4)
    expected[0, 1:3, 1] = 1
    expected[0, 4, 3] = 1
    (mask,) = object_masks(student)
    torch.testing.assert_close(mask, expected)
    # Cells of 8 rows and 4 columns of pixels.
    oblong = replace(student, features=(torch.zeros(2, 1, 5, 8),))
    expected = torch.zeros(2, 5, 8)
    expected[0, 1:3, 2:4] = 1
    expected[0, 4, 7] = 1
    (mask,) = object_masks(oblong)
    torch.testing.assert_close(mask, expected)


def iou(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


@pytest.mark.parametrize(("ratio", "columns"), [(0.3, 12), (0.5, 12), (0.9, 12), (0.5, 24)])
def test_near_cells_are_those_of_loops(ratio, columns):
    boxes = torch.tensor([[30.0, 20.0, 150.0, 100.0], [100.0, 100.0, 126.0, 127.0]])
    gt = ground_truth([boxes, boxes[:0]], size=(160, 192))
    student = replace(view(features=(torch.zeros(2, 1, 10, columns),)), gt=gt)
    expected = torch.zeros(2, 10, columns)
    wide = 192 / columns
    for box in boxes.tolist():
        overlaps = {}
        for row in range(10):
            for column in range(columns):
                y, x = 16 * (row + 0.5), wide * (column + 0.5)
                for aspect in (0.5, 1.0, 2.0):
                    h, w = 64 * aspect**0.5, 4 * wide / aspect**0.5
                    overlaps[row, column, aspect] = iou([x - w, y - h, x + w, y + h], box)
        for (row, column, _), overlap in overlaps.items():
            if overlap > ratio * max(overlaps.values()):
                expected[0, row, column] = 1
    (mask,) = near_object_masks(student, ratio)
    torch.testing.assert_close(mask, expected)
    assert 0 < mask.sum() < mask[0].numel()
