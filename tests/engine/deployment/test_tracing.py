import pytest
import torch
from torch import nn

from tbd.engine.deployment import UnexportableError
from tbd.engine.deployment.tracing import trace


class Foreign(torch.autograd.Function):
    """An operator that exports as one of mmcv's own."""

    @staticmethod
    def forward(ctx, image):
        return image + 1

    @staticmethod
    def symbolic(g, image):
        return g.op("mmcv::MMCVSomething", image)


class WithForeign(nn.Module):
    def forward(self, image):
        return Foreign.apply(image)


class WithoutForm(nn.Module):
    def forward(self, image):
        return torch.linalg.svdvals(image)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (WithForeign(), r"operators that ONNX does not have: mmcv::MMCVSomething"),
        (WithoutForm(), "ONNX has no form for an operator.*svd"),
    ],
)
def test_an_operator_without_a_form_is_named(graph, message):
    with pytest.raises(UnexportableError, match=message):
        trace(graph.eval(), torch.zeros(1, 3, 4, 4), ["found"], 19)
