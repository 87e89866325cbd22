"""Multi-scale deformable attention, https://arxiv.org/abs/2010.04159.

mmcv has a PyTorch version that it uses on the CPU; here it also serves where mmcv calls the
compiled one. ``value`` is [N, S, heads, channels] over the S cells of all levels,
``spatial_shapes`` [L, 2] their heights and widths, ``sampling_loc``
[N, queries, heads, L, points, 2] in 0..1 as (x, y), ``attn_weight`` the same without the last.
"""

import torch
from torch import Tensor


def ms_deform_attn_forward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_loc: Tensor,
    attn_weight: Tensor,
    im2col_step: int,
) -> Tensor:
    """Attended values, [N, queries, heads · channels]."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    return multi_scale_deformable_attn_pytorch(
        value, spatial_shapes.tolist(), sampling_loc, attn_weight
    )


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_loc: Tensor,
    attn_weight: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Gradients of :func:`ms_deform_attn_forward`, added to the buffers given."""
    inputs = [tensor.detach().requires_grad_() for tensor in (value, sampling_loc, attn_weight)]
    with torch.enable_grad():
        output = ms_deform_attn_forward(
            inputs[0], spatial_shapes, level_start_index, inputs[1], inputs[2], im2col_step
        )
    gradients = torch.autograd.grad(output, inputs, grad_output)
    for buffer, gradient in zip(
        (grad_value, grad_sampling_loc, grad_attn_weight), gradients, strict=True
    ):
        buffer += gradient
