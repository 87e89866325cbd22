"""Multi-scale deformable attention: mmcv's PyTorch version, and the operator that calls it."""

import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttnFunction,
    multi_scale_deformable_attn_pytorch,
)
from torch.testing import assert_close

pytestmark = pytest.mark.openmmlab


def _pytorch(value, shapes, loc, attn):
    return multi_scale_deformable_attn_pytorch(value, shapes.tolist(), loc, attn)


def _operator(value, shapes, loc, attn):
    starts = torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]])
    return MultiScaleDeformableAttnFunction.apply(value, shapes, starts, loc, attn, 64)


@pytest.mark.parametrize("function", [_pytorch, _operator])
def test_attention(reference, function):
    value, loc, attn = (
        reference(f"msda_{name}").requires_grad_() for name in ("value", "loc", "attn")
    )
    output = function(value, reference("msda_shapes"), loc, attn)
    output.backward(reference("msda_gradout"))
    assert_close(output.detach(), reference("msda_out"))
    for tensor, name in ((value, "value"), (loc, "loc"), (attn, "attn")):
        assert_close(tensor.grad, reference(f"msda_grad{name}"))
