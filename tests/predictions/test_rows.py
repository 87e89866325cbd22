import pytest
import torch

from tbd.predictions import DensePredictions, binary_class_rows, class_rows, regression_rows


def predictions(background):
    generator = torch.Generator().manual_seed(0)
    channels = 2 * (3 + background)
    logits = 8 * torch.randn(2, channels, 2, 3, generator=generator, dtype=torch.float64)
    return DensePredictions([logits], 3, decode=list, background=background)


@pytest.mark.parametrize("background", [False, True])
def test_rows_are_in_the_order_of_row_column_and_anchor(background):
    dense = predictions(background)
    width = 3 + background
    rows = class_rows(dense, 0)
    assert rows.shape == (2, 2 * 3 * 2, width)
    for y in range(2):
        for x in range(3):
            for anchor in range(2):
                expected = dense.cls_logits[0][:, anchor * width : (anchor + 1) * width, y, x]
                assert rows[:, (y * 3 + x) * 2 + anchor].equal(expected)


def test_regression_is_in_the_order_of_the_boxes_whatever_its_width():
    raw = torch.arange(2 * 2 * 8 * 2 * 3, dtype=torch.float64).view(2, 16, 2, 3)
    dense = DensePredictions([torch.zeros(2, 8, 2, 3)], 3, list, True, regression=[raw])
    rows = regression_rows(dense, 0)
    assert rows.shape == (2, 2 * 3 * 2, 8)
    assert rows[1, (1 * 3 + 2) * 2 + 1].equal(raw[1, 8:, 1, 2])


def test_binary_logits_are_those_of_the_probabilities():
    dense = predictions(background=False)
    assert binary_class_rows(dense, 0).equal(class_rows(dense, 0))
    dense = predictions(background=True)
    probability = class_rows(dense, 0).softmax(dim=2)[:, :, :3]
    torch.testing.assert_close(binary_class_rows(dense, 0).sigmoid(), probability)


def test_binary_logits_of_certain_classes_are_finite():
    logits = torch.tensor([[200.0, 0, 0, -200]])[:, :, None, None].requires_grad_()
    found = binary_class_rows(DensePredictions([logits], 3, decode=list, background=True), 0)
    found.sum().backward()
    assert found.isfinite().all()
    assert logits.grad.isfinite().all()
