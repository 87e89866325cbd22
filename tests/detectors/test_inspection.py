import pytest
import tiny
import torch

from tbd.detectors import build_detector, resolve_model_config
from tbd.detectors.inspection import count_classes, inspect_detector


def build(config):
    return build_detector(resolve_model_config(config))


def test_retinanet_is_described():
    spec = inspect_detector(build(tiny.retinanet()), "student", 64)
    assert (spec.channels, spec.strides) == ((8, 8, 8), ((8, 8), (16, 16), (32, 32)))
    assert (spec.head.name, spec.head.type) == ("bbox_head", "RetinaHead")
    assert (spec.head.num_classes, spec.head.anchors_per_location) == (3, (2, 2, 2))


def test_two_stage_detector_is_described_by_its_rpn():
    spec = inspect_detector(build(tiny.faster_rcnn()), "teacher", 64)
    assert (spec.head.name, spec.head.type, spec.head.num_classes) == ("rpn_head", "RPNHead", 1)


def test_inspection_changes_nothing():
    config = tiny.retinanet()
    config["backbone"]["norm_cfg"] = dict(type="BN", requires_grad=True)
    detector = build(config)
    detector.train()
    detector.backbone.layer1.eval()
    modes = [module.training for module in detector.modules()]
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    inspect_detector(detector, "student", 64)
    assert [module.training for module in detector.modules()] == modes
    assert all(torch.equal(before[k], v) for k, v in detector.state_dict().items())


@pytest.mark.parametrize("config", [tiny.retinanet(classes=5), tiny.faster_rcnn(classes=5)])
def test_classes_are_counted_in_either_kind(config):
    assert count_classes(build(config)) == 5
