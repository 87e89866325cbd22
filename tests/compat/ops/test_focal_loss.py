"""Focal losses through mmcv's functions, which MMDetection calls on a GPU."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import sigmoid_focal_loss, softmax_focal_loss
from torch.testing import assert_close

pytestmark = pytest.mark.openmmlab

_CASES = {"g20_a25": (2.0, 0.25), "g15_a60": (1.5, 0.6), "g0_a50": (0.0, 0.5)}


@pytest.mark.parametrize("case", _CASES)
def test_sigmoid_loss(reference, case):
    x = reference("sfl_x").requires_grad_()
    loss = sigmoid_focal_loss(x, reference("sfl_target"), *_CASES[case], None, "none")
    assert_close(loss.detach(), reference(f"sfl_{case}_none"), rtol=1e-5, atol=1e-7)
    loss.sum().backward()
    assert_close(x.grad, reference(f"sfl_{case}_gradsum"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", _CASES)
def test_sigmoid_loss_within_a_weighted_mean(reference, case):
    x = reference("sfl_x").requires_grad_()
    loss = sigmoid_focal_loss(x, reference("sfl_target"), *_CASES[case], None, "none")
    loss = 1.3 * (loss * reference("sfl_weight")[:, None]).sum() / 7
    loss.backward()
    name = f"sfl_{case}_mod_w_avg7_lw13"
    assert_close(loss.detach(), reference(name).reshape(()), rtol=1e-5, atol=1e-6)
    assert_close(x.grad, reference(f"{name}_grad"), rtol=1e-5, atol=1e-6)


def test_reductions(reference):
    x, target = reference("sfl_x"), reference("sfl_target")
    loss = sigmoid_focal_loss(x, target, 2.0, 0.25, None, "none")
    assert_close(sigmoid_focal_loss(x, target, 2.0, 0.25, None, "sum"), loss.sum())
    assert_close(sigmoid_focal_loss(x, target, 2.0, 0.25, None, "mean"), loss.sum() / len(x))


@pytest.mark.parametrize("function", [sigmoid_focal_loss, softmax_focal_loss])
def test_class_weights_scale_the_rows(function):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, generator=generator).requires_grad_()
    target = torch.tensor([2, 0, 1, 2])
    weight = torch.tensor([0.5, 2.0, 3.0])

    def loss_and_gradient(weight):
        loss = function(x, target, 2.0, 0.25, weight, "none").reshape(len(x), -1)
        total = function(x, target, 2.0, 0.25, weight, "sum")
        return loss.detach(), torch.autograd.grad(total, x)[0]

    plain, weighted = loss_and_gradient(None), loss_and_gradient(weight)
    for without, with_weight in zip(plain, weighted, strict=True):
        assert_close(with_weight, without * weight[target][:, None])


def test_sigmoid_loss_of_extreme_logits():
    x = torch.tensor([[1000.0, -1000.0]], requires_grad=True)
    loss = sigmoid_focal_loss(x, torch.tensor([1]), 2.0, 0.25, None, "none")
    # Both are wrong with certainty; the logarithm stops at the smallest normal float32.
    bound = -torch.tensor(torch.finfo(torch.float32).tiny).log()
    assert_close(loss.detach(), torch.tensor([[0.75, 0.25]]) * bound)
    loss.sum().backward()
    assert_close(x.grad, torch.tensor([[0.75, -0.25]]))


def _softmax_focal_loss(x, target, gamma, alpha):
    p = F.softmax(x, dim=1)[torch.arange(len(x)), target.clamp(min=0)]
    return torch.where(target >= 0, -alpha * (1 - p) ** gamma * p.log(), 0)


@pytest.mark.parametrize("case", _CASES)
def test_softmax_loss(case):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, dtype=torch.float64, generator=generator).requires_grad_()
    target = torch.tensor([0, 3, 1, -1, 2, 2])
    expected = _softmax_focal_loss(x, target, *_CASES[case])
    assert_close(softmax_focal_loss(x, target, *_CASES[case], None, "none"), expected)
    total = softmax_focal_loss(x, target, *_CASES[case], None, "sum")
    assert_close(torch.autograd.grad(total, x)[0], torch.autograd.grad(expected.sum(), x)[0])


@pytest.mark.parametrize("function", [sigmoid_focal_loss, softmax_focal_loss])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(function, dtype):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, generator=generator).to(dtype).requires_grad_()
    target = torch.tensor([2, 0, 1, 2])
    loss = function(x, target, 2.0, 0.25, None, "sum")
    (gradient,) = torch.autograd.grad(loss, x)
    wide = x.detach().float().requires_grad_()
    expected = function(wide, target, 2.0, 0.25, None, "sum")
    assert loss.dtype is gradient.dtype is dtype
    assert_close(loss.float(), expected, rtol=0.02, atol=0.02)
    assert_close(gradient.float(), torch.autograd.grad(expected, wide)[0], rtol=0.02, atol=0.02)
