"""Deformable convolution v1 and v2 through mmcv's own functions."""

import pytest
import torch
from mmcv.ops import deform_conv2d, modulated_deform_conv2d
from mmdet.models.necks import DyHead
from torch.testing import assert_close

pytestmark = pytest.mark.openmmlab


def _geometry(reference, index):
    values = reference("dcn_cfg")[index].tolist()
    stride, padding, dilation = (tuple(values[i : i + 2]) for i in (0, 2, 4))
    return stride, padding, dilation, values[6], values[7]


def _inputs(reference, index, names):
    tensors = {"x": reference("dcn_x"), "bias": reference("dcn_bias")}
    tensors |= {name: reference(f"dcn{index}_{name}") for name in ("w", "offset", "mask")}
    return [tensors[name].requires_grad_() for name in names]


def _check(reference, index, version, output, gradients):
    name = f"dcn{index}_{version}"
    assert_close(output.detach(), reference(f"{name}_out"), rtol=1e-5, atol=1e-6)
    for key, gradient in gradients.items():
        expected = reference(f"{name}_grad{key}")
        assert_close(gradient, expected, rtol=1e-4, atol=1e-5, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("index", range(4))
def test_v1(reference, index):
    names = ("x", "offset", "w")
    inputs = _inputs(reference, index, names)
    output = deform_conv2d(*inputs, *_geometry(reference, index))
    output.backward(reference(f"dcn{index}_gradout"))
    gradients = {name: tensor.grad for name, tensor in zip(names, inputs, strict=True)}
    _check(reference, index, "v1", output, gradients)


@pytest.mark.parametrize("index", range(4))
def test_v2(reference, index):
    names = ("x", "offset", "mask", "w", "bias")
    inputs = _inputs(reference, index, names)
    output = modulated_deform_conv2d(*inputs, *_geometry(reference, index))
    output.backward(reference(f"dcn{index}_gradout"))
    gradients = {name: tensor.grad for name, tensor in zip(names, inputs, strict=True)}
    _check(reference, index, "v2", output, gradients)


def test_v2_without_bias(reference):
    x, offset, mask, weight, bias = _inputs(reference, 0, ("x", "offset", "mask", "w", "bias"))
    geometry = _geometry(reference, 0)
    plain = modulated_deform_conv2d(x, offset, mask, weight, None, *geometry)
    with_bias = modulated_deform_conv2d(x, offset, mask, weight, bias, *geometry)
    assert_close(plain + bias[:, None, None], with_bias)
    plain.sum().backward()
    assert bias.grad is None


def test_v1_gradient_of_the_weight_alone(reference):
    x, offset, weight = _inputs(reference, 0, ("x", "offset", "w"))
    output = deform_conv2d(x.detach(), offset.detach(), weight, *_geometry(reference, 0))
    output.backward(reference("dcn0_gradout"))
    assert_close(weight.grad, reference("dcn0_v1_gradw"), rtol=1e-4, atol=1e-5)


def test_v1_backward_twice(reference):
    inputs = _inputs(reference, 0, ("x", "offset", "w"))
    output = deform_conv2d(*inputs, *_geometry(reference, 0))
    grad = reference("dcn0_gradout")
    first = torch.autograd.grad(output, inputs, grad, retain_graph=True)
    second = torch.autograd.grad(output, inputs, 2 * grad)
    for once, twice in zip(first, second, strict=True):
        assert_close(2 * once, twice)


def test_v2_with_maps_larger_than_the_output(reference):
    """mmcv reads each image's maps as they lie in memory, by the output's height and width."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, 5, generator=generator)
    weight = torch.randn(2, 3, 3, 3, generator=generator)
    # A slice of a larger tensor, as in DyHead: an image's values do not follow on the last's.
    maps = torch.randn(2, 30, 7, 8, generator=generator).requires_grad_()
    output = modulated_deform_conv2d(x, maps[:, :18], maps[:, 18:27], weight, None, 1, 1)
    grad = torch.randn(output.shape, generator=generator)
    (gradient,) = torch.autograd.grad(output, maps, grad)

    offset = torch.stack([image[:18].flatten()[: 18 * 20].view(18, 4, 5) for image in maps])
    mask = torch.stack([image[18:27].flatten()[: 9 * 20].view(9, 4, 5) for image in maps])
    expected = modulated_deform_conv2d(x, offset, mask, weight, None, 1, 1)
    assert_close(output, expected)
    assert_close(gradient, torch.autograd.grad(expected, maps, grad)[0])


def test_v2_with_maps_smaller_than_the_output():
    with pytest.raises(ValueError, match="3×3 are too small for an output of 6×6"):
        modulated_deform_conv2d(
            torch.zeros(1, 1, 6, 6),
            torch.zeros(1, 18, 3, 3),
            torch.zeros(1, 9, 3, 3),
            torch.zeros(1, 1, 3, 3),
            None,
            1,
            1,
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(reference, dtype):
    wide = _inputs(reference, 0, ("x", "offset", "mask", "w", "bias"))
    # Eighths are exact in both formats. Rounded, a position could change its cell, and with it
    # the offset's gradient jumps.
    wide[1].data.mul_(4).round_().div_(4).add_(0.125)
    half = [tensor.detach().to(dtype).requires_grad_() for tensor in wide]
    for function, select in ((deform_conv2d, (0, 1, 3)), (modulated_deform_conv2d, range(5))):
        results = []
        for tensors in (half, [tensor.detach().float().requires_grad_() for tensor in half]):
            chosen = [tensors[i] for i in select]
            output = function(*chosen, *_geometry(reference, 0))
            results.append([output, *torch.autograd.grad(output.float().sum(), chosen)])
        for narrow, full in zip(*results, strict=True):
            assert narrow.dtype is dtype
            assert_close(narrow.float(), full, rtol=0.05, atol=0.05)


def test_mixed_precision_takes_the_offsets_type():
    layer_input = torch.randn(1, 2, 5, 5)
    offset = torch.zeros(1, 18, 3, 3, dtype=torch.bfloat16)
    weight = torch.randn(3, 2, 3, 3, requires_grad=True)
    output = deform_conv2d(layer_input, offset, weight)
    output.float().sum().backward()
    assert output.dtype is torch.bfloat16
    assert weight.grad.dtype is torch.float32


def test_dyhead_trains():
    neck = DyHead(in_channels=16, out_channels=16, num_blocks=1)
    features = [torch.randn(2, 16, size, size, requires_grad=True) for size in (13, 7, 4)]
    outputs = neck(features)
    assert [output.shape for output in outputs] == [feature.shape for feature in features]
    sum(output.sum() for output in outputs).backward()
    offset_gradient = neck.dyhead_blocks[0].spatial_conv_offset.weight.grad
    assert offset_gradient.isfinite().all()
    assert offset_gradient.abs().sum() > 0


def test_an_offset_that_is_no_number_gives_none_where_it_is_and_ends_no_process():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 8, 8), torch.randn(3, 4, 3, 3)
    offset = torch.randn(2, 18, 8, 8)
    expected = deform_conv2d(x, offset, weight, 1, 1)
    offset[1, 5, 2, 3] = torch.nan
    offset.requires_grad_()
    output = deform_conv2d(x, offset, weight, 1, 1)
    assert output[1, :, 2, 3].isnan().all()
    lost = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    lost[1, 0, 2, 3] = True
    assert torch.equal(output.isnan(), lost.expand_as(output))
    assert torch.equal(output[~lost.expand_as(output)], expected[~lost.expand_as(output)])
    output.nan_to_num().sum().backward()
    assert offset.grad.isfinite().all()
