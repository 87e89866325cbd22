"""Corner pooling, which mmcv 2 computes without an operator of its own."""

import pytest
from mmcv.ops import CornerPool
from torch.testing import assert_close

pytestmark = pytest.mark.openmmlab


@pytest.mark.parametrize("mode", ["top", "bottom", "left", "right"])
def test_corner_pool(reference, mode):
    x = reference("cp_x").requires_grad_()
    output = CornerPool(mode)(x)
    output.backward(reference("cp_gradout"))
    assert_close(output.detach(), reference(f"cp_{mode}_out"))
    assert_close(x.grad, reference(f"cp_{mode}_gradx"))
