"""RoIAlign and RoIPool through mmcv's own modules."""

import pytest
import torch
from mmcv.ops import RoIAlign, RoIPool
from torch.testing import assert_close

pytestmark = pytest.mark.openmmlab

_SIZE = (3, 4)


def _run(layer, x, rois, grad):
    x = x.clone().requires_grad_()
    output = layer(x, rois)
    output.backward(grad)
    return output.detach(), x.grad


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align(reference, mode, aligned, ratio):
    # The last RoI ends before it begins; where that matters it was recorded without.
    count = 6 if aligned else 7
    layer = RoIAlign(_SIZE, float(reference("ra_scale")), ratio, mode, bool(aligned))
    output, grad = _run(
        layer, reference("ra_x"), reference("ra_rois")[:count], reference("ra_gradout")[:count]
    )
    name = f"ra_{mode}_al{aligned}_sr{ratio}"
    assert_close(output, reference(f"{name}_out"))
    assert_close(grad, reference(f"{name}_gradx"))


def test_roi_align_refuses_malformed_rois(reference):
    assert reference("ra_aligned_malformed_raises")
    with pytest.raises(ValueError, match="x2 < x1"):
        RoIAlign(_SIZE, 0.25)(reference("ra_x"), reference("ra_rois"))


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_roi_align_of_a_roi_without_area_is_zero(mode):
    rois = torch.tensor([[0.0, 3, 3, 3, 3]])
    layer = RoIAlign(2, 1.0, 0, mode)
    output, grad = _run(layer, torch.ones(1, 1, 6, 6), rois, torch.ones(1, 1, 2, 2))
    assert_close(output, torch.zeros(1, 1, 2, 2))
    assert_close(grad, torch.zeros(1, 1, 6, 6))


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_roi_align_gradient(mode):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 2, 6, 7, dtype=torch.float64, generator=generator)
    rois = torch.tensor([[0, 0.3, 0.8, 5.1, 4.9], [0, 2, 1, 3, 5]]).double()
    layer = RoIAlign(2, 1.0, 0, mode)
    assert torch.autograd.gradcheck(layer, (x.requires_grad_(), rois))


def test_roi_pool(reference):
    output, grad = _run(
        RoIPool(_SIZE, 0.25), reference("ra_x"), reference("ra_rois"), reference("ra_gradout")
    )
    assert_close(output, reference("roipool_np_out"), check_dtype=False)
    assert_close(grad, reference("roipool_np_gradx"), check_dtype=False)
    assert not torch.allclose(output, reference("tv_roipool_out"))


def test_roi_pool_passes_the_gradient_of_a_tie_to_the_first():
    x = torch.tensor([[[[0.0, 5], [5, 5]]]])
    output, grad = _run(RoIPool(1), x, torch.tensor([[0.0, 0, 0, 1, 1]]), torch.ones(1, 1, 1, 1))
    assert_close(output, torch.full((1, 1, 1, 1), 5.0))
    assert_close(grad, torch.tensor([[[[0.0, 1], [0, 0]]]]))


@pytest.mark.parametrize("layer", [RoIAlign(2), RoIAlign(2, pool_mode="max"), RoIPool(2)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(layer, dtype):
    # Small integers, which both formats hold exactly.
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 9, (1, 2, 8, 8), generator=generator).float()
    rois = torch.tensor([[0.0, 1, 1, 6, 6]])
    output, grad = _run(layer, x.to(dtype), rois.to(dtype), torch.ones(1, 2, 2, 2, dtype=dtype))
    expected, expected_grad = _run(layer, x, rois, torch.ones(1, 2, 2, 2))
    assert output.dtype is grad.dtype is dtype
    assert_close(output.float(), expected, rtol=1e-2, atol=1e-2)
    assert_close(grad.float(), expected_grad, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("layer", [RoIAlign(2), RoIAlign(2, pool_mode="max"), RoIPool(2)])
def test_no_rois(layer):
    x = torch.ones(1, 3, 4, 4)
    output, grad = _run(layer, x, torch.zeros(0, 5), torch.zeros(0, 3, 2, 2))
    assert output.shape == (0, 3, 2, 2)
    assert_close(grad, torch.zeros_like(x))
