"""Deformable convolution without (v1) and with (v2) modulation.

Deformable ConvNets, https://arxiv.org/abs/1703.06211 and https://arxiv.org/abs/1811.11168.
Features are [N, C, H, W]; offsets [N, 2·G·kh·kw, H_out, W_out], y before x for each of the G
deformable groups and each position of the kernel; masks [N, G·kh·kw, H_out, W_out].
``columns`` and ``ones`` are scratch buffers of mmcv's own kernels.
"""

import torch
from torch import Tensor

from tbd.compat.ops.precision import computable


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    **geometry: int,
) -> None:
    """Deformable convolution v1, written to ``output``."""
    output.copy_(_forward(input, weight, offset, None, None, _geometry_v1(geometry)))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **geometry: int,
) -> None:
    """Gradients of v1 with respect to input and offset, added to the buffers given."""
    gradients = _backward(grad_output, input, weight, offset, None, None, _geometry_v1(geometry))
    grad_input += gradients[0]
    grad_offset += gradients[2]
    # torchvision computes all gradients at once, which is most of the cost of a step. mmcv
    # passes the same buffer when it asks for the weight's next: keep that one there.
    columns.resize_(weight.shape).copy_(gradients[1])


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    scale: float,
    **geometry: int,
) -> None:
    """Gradient of v1 with respect to the weight, times ``scale``, added to ``grad_weight``."""
    if columns.shape == grad_weight.shape:
        gradient = columns.clone()
        columns.resize_(0)
    else:
        # The gradient does not depend on the weight's values.
        gradient = _backward(
            grad_output, input, grad_weight, offset, None, None, _geometry_v1(geometry)
        )[1]
    grad_weight += scale * gradient


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    with_bias: bool,
    **geometry: int,
) -> None:
    """Deformable convolution v2, written to ``output``.

    The maps of offsets and masks may be larger than the output, as DyHead's are. mmcv then
    takes the beginning of each image's values as they lie in memory, and so does this.

    Raises:
        ValueError: If the maps of offsets or masks are smaller than the output.
    """
    output.copy_(
        _forward(
            input,
            weight,
            _leading(offset, output),
            _leading(mask, output),
            bias if with_bias else None,
            _geometry_v2(geometry),
        )
    )


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    with_bias: bool,
    **geometry: int,
) -> None:
    """Gradients of v2, added to the buffers given."""
    gradients = _backward(
        grad_output,
        input,
        weight,
        _leading(offset, grad_output),
        _leading(mask, grad_output),
        bias if with_bias else None,
        _geometry_v2(geometry),
    )
    grad_input += gradients[0]
    grad_weight += gradients[1]
    for buffer, gradient in ((grad_offset, gradients[2]), (grad_mask, gradients[3])):
        values = gradient.flatten(1)
        buffer.view(len(buffer), -1)[:, : values.shape[1]] += values
    if with_bias:
        grad_bias += gradients[4]


def _forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    geometry: tuple[int, ...],
) -> Tensor:
    operands = _operands(input, weight, offset, mask, bias)
    output = torch.ops.torchvision.deform_conv2d(*operands, *geometry, mask is not None)
    return output.masked_fill(offset.isnan().any(dim=1, keepdim=True), torch.nan)


def _backward(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    geometry: tuple[int, ...],
) -> tuple[Tensor, ...]:
    """Gradients with respect to input, weight, offset, mask and bias."""
    operands = _operands(input, weight, offset, mask, bias)
    return torch.ops.torchvision._deform_conv2d_backward(
        computable(grad_output), *operands, *geometry, mask is not None
    )


def _operands(
    input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None
) -> list[Tensor]:
    # torchvision wants a tensor also where there is no mask or no bias.
    if mask is None:
        mask = input.new_zeros((len(input), 1))
    if bias is None:
        bias = input.new_zeros(len(weight))
    # The kernel reads memory that is not its own where an offset is NaN.
    offset = offset.masked_fill(offset.isnan(), 0.0)
    return [computable(operand) for operand in (input, weight, offset, mask, bias)]


def _geometry_v1(geometry: dict[str, int]) -> tuple[int, ...]:
    names = "dH dW padH padW dilationH dilationW group deformable_group"
    return tuple(geometry[name] for name in names.split())


def _geometry_v2(geometry: dict[str, int]) -> tuple[int, ...]:
    names = "stride_h stride_w pad_h pad_w dilation_h dilation_w group deformable_group"
    return tuple(geometry[name] for name in names.split())


def _leading(maps: Tensor, output: Tensor) -> Tensor:
    """The leading values of each image's maps, as maps of the output's height and width."""
    height, width = output.shape[2:]
    if maps.shape[2:] == (height, width):
        return maps
    count = maps.shape[1] * height * width
    values = maps.flatten(1)
    if values.shape[1] < count:
        raise ValueError(
            "modulated deformable convolution: maps of offsets and masks of "
            f"{maps.shape[2]}×{maps.shape[3]} are too small for an output of {height}×{width}"
        )
    return values[:, :count].reshape(len(maps), -1, height, width)
