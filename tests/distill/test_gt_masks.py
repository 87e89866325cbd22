from dataclasses import replace

import pytest
import torch
from views import ground_truth, view

from tbd.distill.gt_masks import scaled_mask, scaled_masks

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
