import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import masked_conv2d
from torch.testing import assert_close

pytestmark = pytest.mark.openmmlab


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
def test_masked_convolution_is_a_convolution_at_the_mask(kernel):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 3, 5, 6, generator=generator)
    weight = torch.randn(4, 3, *kernel, generator=generator)
    bias = torch.randn(4, generator=generator)
    mask = torch.rand(1, 5, 6, generator=generator) > 0.5
    padding = kernel[0] // 2
    output = masked_conv2d(x, mask, weight, bias, padding)
    expected = F.conv2d(x, weight, bias, padding=padding) * mask
    assert_close(output, expected)


def test_empty_mask():
    x = torch.ones(1, 1, 3, 3)
    output = masked_conv2d(x, torch.zeros(1, 3, 3), torch.ones(1, 1, 1, 1), torch.ones(1))
    assert_close(output, torch.zeros_like(x))
