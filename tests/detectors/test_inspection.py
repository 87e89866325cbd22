import re

import pytest
import tiny
import torch

from tbd.detectors import build_detector, resolve_model_config
from tbd.detectors.inspection import inspect_detector
from tbd.registry import MODELS


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


def centernet(deconvolutions):
    """At stride 32 / 2**deconvolutions; the head takes it for 4."""
    return dict(
        type="CenterNet",
        data_preprocessor=tiny.preprocessor(),
        backbone=tiny.backbone(),
        neck=dict(
            type="CTResNetNeck",
            in_channels=32,
            num_deconv_filters=(8,) * deconvolutions,
            num_deconv_kernels=(4,) * deconvolutions,
            use_dcn=False,
        ),
        bbox_head=dict(type="CenterNetHead", num_classes=3, in_channels=8, feat_channels=8),
    )


def test_head_without_strides_of_its_own_is_described():
    spec = inspect_detector(build(centernet(deconvolutions=3)), "student", 64)
    assert (spec.strides, spec.head.anchors_per_location) == (((4, 4),), (1,))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (centernet(deconvolutions=2), r"CenterNetHead .* strides \[\(4, 4\)\] .*features of 8×8 "),
        (
            tiny.retinanet(
                anchor_generator=dict(
                    type="AnchorGenerator", scales=[4], ratios=[1.0], strides=[8, 16, 64]
                )
            ),
            r"RetinaHead .* 8×8, 4×4, 2×2 cells",
        ),
    ],
)
def test_head_whose_strides_are_not_those_of_the_features_is_not_read(config, message):
    spec = inspect_detector(build(config), "student", 64)
    assert spec.head is None
    assert re.search(message, spec.head_error)


@pytest.mark.parametrize("size", [64, 72, 100, 130])
def test_rounded_feature_sizes_fit_the_strides(size):
    config = tiny.retinanet()
    config["neck"]["num_outs"] = 5
    config["bbox_head"]["anchor_generator"]["strides"] = [8, 16, 32, 64, 128]
    assert inspect_detector(build(config), "student", size).head is not None


@pytest.mark.parametrize("term", ["Localization", "PredictionGuided"])
def test_objects_lie_at_the_priors_whatever_the_probing_size(term):
    found = []
    # At 72 pixels the features seem to have strides of 8, 14 and 24.
    for size in (64, 72):
        torch.manual_seed(0)
        distill = dict(term=dict(type=f"tbd.{term}Distillation"))
        model = MODELS.build(tiny.wrapper(distill=distill, probe_size=size)).train()
        losses = model(**tiny.batch(model), mode="loss")
        found.append({key: value for key, value in losses.items() if key.startswith("term.loss")})
    assert any(loss > 0 for loss in found[0].values())
    torch.testing.assert_close(found[1], found[0])


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
