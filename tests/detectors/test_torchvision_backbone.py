import os
from pathlib import Path

import pytest
import torch
from mmdet.models.backbones import MobileNetV2
from torchvision.models import mobilenet_v2

from tbd.detectors.torchvision_backbone import convert_mobilenet_v2, convert_mobilenet_v2_file

REAL = Path(os.environ.get("TBD_WEIGHTS", "data")) / "mobilenet_v2-b0353104.pth"
LAST_LAYERS = (1, 3, 6, 10, 13, 16, 17, 18)
"""Layer of torchvision's ``features`` that ends each of MMDetection's eight stages."""


def random_network(seed):
    torch.manual_seed(seed)
    network = mobilenet_v2(weights=None)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.5, 0.5)
            layer.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.uniform_(layer.bias, -0.5, 0.5)
    return network


@torch.no_grad()
def assert_same_features(network, backbone):
    network.eval()
    backbone.eval()
    images = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    expected, x = [], images
    for number, layer in enumerate(network.features):
        x = layer(x)
        if number in LAST_LAYERS:
            expected.append(x)
    for found, wanted in zip(backbone(images), expected, strict=True):
        assert torch.equal(found, wanted)


def test_features_are_torchvisions():
    network = random_network(0)
    backbone = MobileNetV2(out_indices=range(8))
    backbone.load_state_dict(convert_mobilenet_v2(network.state_dict()), strict=True)
    assert_same_features(network, backbone)


def test_published_file_initialises_a_backbone(tmp_path):
    if not REAL.is_file():
        pytest.skip(f"no {REAL}; set TBD_WEIGHTS to the folder that holds it")
    convert_mobilenet_v2_file(REAL, tmp_path / "new folder/backbone.pth")
    backbone = MobileNetV2(
        out_indices=range(8),
        init_cfg=dict(type="Pretrained", checkpoint=str(tmp_path / "new folder/backbone.pth")),
    )
    backbone.init_weights()
    network = mobilenet_v2(weights=None)
    network.load_state_dict(torch.load(REAL, weights_only=True))
    assert_same_features(network, backbone)
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["backbone.pth"]


def test_other_widths_are_refused():
    with pytest.raises(ValueError, match=r"features\.0\.0\.weight \[16, 3, 3, 3\]"):
        convert_mobilenet_v2(mobilenet_v2(weights=None, width_mult=0.5).state_dict())


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match=r"1 of its 2 tensors"):
        convert_mobilenet_v2({"features.0.weight": torch.ones(1), "conv.weight": torch.ones(1)})


def test_another_order_is_refused():
    weights = mobilenet_v2(weights=None).state_dict()
    swapped = {"features.0.1.bias": weights["features.0.1.bias"], **weights}
    with pytest.raises(ValueError, match=r"features\.0\.1\.bias"):
        convert_mobilenet_v2(swapped)
