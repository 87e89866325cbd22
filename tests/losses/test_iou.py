import math

import pytest
import torch

from tbd.losses import binary_iou, multiclass_iou


def labels(seed, high=4):
    return torch.randint(0, high, (3, 6, 5), generator=torch.Generator().manual_seed(seed))


def sets_of(tensor, value, valid):
    flat = zip(tensor.flatten().tolist(), valid.flatten().tolist(), strict=True)
    return {i for i, (found, counts) in enumerate(flat) if counts and found == value}


def iou(prediction, target, value, valid, empty=1.0):
    found, there = sets_of(prediction, value, valid), sets_of(target, value, valid)
    return len(found & there) / len(found | there) if found | there else empty


@pytest.mark.parametrize("per_image", [False, True])
def test_iou_of_sets(per_image):
    prediction, target = labels(0), labels(1)
    target[0, :3] = 255
    target[2] = 255
    valid = target != 255
    images = range(3) if per_image else [slice(None)]
    expected = [
        sum(iou(prediction[i], target[i], c, valid[i]) for i in images) / len(images)
        for c in range(5)
    ]
    found = multiclass_iou(prediction, target, 5, per_image=per_image, ignore_index=255)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))

    mask, truth = prediction > 1, (target > 1).long().masked_fill(~valid, 255)
    expected = sum(iou(mask[i], truth[i], 1, valid[i]) for i in images) / len(images)
    found = binary_iou(mask, truth, per_image=per_image, ignore_index=255)
    assert found.item() == pytest.approx(expected)


def test_absent_classes():
    ones = torch.ones(1, 4, dtype=torch.long)
    assert multiclass_iou(ones, ones, 3).tolist() == [1, 1, 1]
    found = multiclass_iou(ones, ones, 3, empty=math.nan)
    assert found.nanmean() == 1
    assert found.isnan().tolist() == [True, False, True]
    assert binary_iou(ones * 0, ones * 0, empty=0.0) == 0
    assert binary_iou(ones.bool(), ones.float()) == 1
    with pytest.raises(ValueError, match="target must be labels in 0…1"):
        binary_iou(ones, 2 * ones)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (labels(0), labels(0)[0], "same shape"),
        (labels(0), labels(0) + 1, "target must be labels in 0…3"),
        (labels(0) - 1, labels(0), "prediction must be labels in 0…3"),
        (labels(0) + 0.5, labels(0), "prediction must be labels in 0…3"),
    ],
)
def test_bad_input(prediction, target, message):
    with pytest.raises(ValueError, match=message):
        multiclass_iou(prediction, target, 4)
