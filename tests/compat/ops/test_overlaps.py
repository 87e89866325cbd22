import pytest
import torch
from mmcv.ops import bbox_overlaps
from torch.testing import assert_close

pytestmark = pytest.mark.openmmlab


@pytest.mark.parametrize("mode", ["iou", "iof"])
@pytest.mark.parametrize("offset", [0, 1])
def test_overlaps(reference, mode, offset):
    first, second = reference("ov_b1"), reference("ov_b2")
    name = f"ov_{mode}_o{offset}"
    assert_close(bbox_overlaps(first, second, mode, offset=offset), reference(name))
    aligned = bbox_overlaps(first[: len(second)], second, mode, aligned=True, offset=offset)
    assert_close(aligned, reference(f"{name}_aligned"))


def test_no_boxes():
    assert bbox_overlaps(torch.zeros(0, 4), torch.zeros(3, 4)).shape == (0, 3)
