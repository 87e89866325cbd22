from dataclasses import replace

import pytest
from mmengine.config import ConfigDict
from tiny import retinanet

from tbd.detectors import build_detector, resolve_model_config
from tbd.detectors.inspection import inspect_detector
from tbd.detectors.weights import without_pretrained
from tbd.studies.pairs.width_scaling import DIVISOR, scale_widths


@pytest.mark.parametrize(
    "config",
    [
        "retinanet/retinanet_x101-64x4d_fpn_1x_coco.py",
        "swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py",
        "yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py",
    ],
)
def test_a_scaled_detector_is_the_same_but_for_its_widths(config):
    wide = without_pretrained(resolve_model_config(f"mmdet::{config}"))
    detectors = [build_detector(model) for model in (wide, scale_widths(wide))]
    before, after = (inspect_detector(d, "student", probe_size=128) for d in detectors)
    assert after.strides == before.strides
    assert replace(after.head, towers=before.head.towers) == before.head
    assert after.channels == tuple(channels // DIVISOR for channels in before.channels)
    sizes = [sum(p.numel() for p in detector.parameters()) for detector in detectors]
    assert sizes[1] < sizes[0] / 4


def test_a_small_config_and_the_given_one_stay_as_they_are():
    config = ConfigDict(retinanet())
    assert scale_widths(config) == config
    wide = without_pretrained(resolve_model_config("mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"))
    before = wide.to_dict()
    scale_widths(wide)
    assert wide.to_dict() == before
