import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from tbd.modules import build_adaptation


@pytest.mark.parametrize(
    ("kind", "channels", "expected", "kernel"),
    [
        ("auto", (8, 8), nn.Identity, None),
        ("auto", (4, 8), nn.Conv2d, (1, 1)),
        ("conv1x1", (8, 8), nn.Conv2d, (1, 1)),
        ("conv3x3", (4, 8), nn.Conv2d, (3, 3)),
        ("identity", (8, 8), nn.Identity, None),
    ],
)
def test_kind_decides_the_layer(kind, channels, expected, kernel):
    layer = build_adaptation(kind, *channels)
    assert type(layer) is expected
    assert getattr(layer, "kernel_size", None) == kernel


def test_parameters_of_fgfi_load():
    layer = build_adaptation("conv3x3_relu", 4, 8)
    # As the public code names and shapes them.
    state = {"0.weight": torch.randn(8, 4, 3, 3), "0.bias": torch.randn(8)}
    layer.load_state_dict(state)
    features = torch.randn(2, 4, 5, 6)
    expected = conv2d(features, state["0.weight"], state["0.bias"], padding=1).clamp(min=0)
    assert torch.equal(layer(features), expected)


def test_identity_needs_equal_channels():
    with pytest.raises(ValueError, match="student has 4 and the teacher 8"):
        build_adaptation("identity", 4, 8)


def test_unknown_kind_lists_those_that_exist():
    with pytest.raises(ValueError, match="auto, conv1x1, conv3x3, conv3x3_relu, identity"):
        build_adaptation("linear", 4, 8)
