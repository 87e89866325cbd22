"""The rest of a head, from each convolution of its towers on, is the head."""

import pytest
import torch
from dense_heads import CHANNELS, CLASSES, NORM, build_head, head_inputs
from mmdet.registry import MODELS as MMDET_MODELS
from torch.testing import assert_close

from tbd.detectors.recorder import OutputRecorder
from tbd.predictions import HeadTowers, RunnableHead, UnsupportedHeadError, build_adapter

pytestmark = pytest.mark.openmmlab

SMALL = dict(num_classes=CLASSES, in_channels=CHANNELS, feat_channels=CHANNELS, stacked_convs=3)
NORMED = SMALL | dict(norm_cfg=NORM)
STRIDES = (8, 16, 32, 64, 128)

HEADS = {
    "retinanet": ("retinanet/retinanet_r50_fpn_1x_coco.py", SMALL, STRIDES),
    "free anchor": ("free_anchor/freeanchor_r50_fpn_1x_coco.py", SMALL, STRIDES),
    "fsaf": ("fsaf/fsaf_r50_fpn_1x_coco.py", SMALL, STRIDES),
    "sabl": ("sabl/sabl-retinanet_r50_fpn_1x_coco.py", SMALL, STRIDES),
    "gfl": ("gfl/gfl_r50_fpn_1x_coco.py", NORMED, STRIDES),
    "atss": ("atss/atss_r50_fpn_1x_coco.py", NORMED, STRIDES),
    "paa": ("paa/paa_r50_fpn_1x_coco.py", NORMED, STRIDES),
    "ddod": ("ddod/ddod_r50_fpn_1x_coco.py", NORMED, STRIDES),
    "fcos": ("fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", NORMED, STRIDES),
    "fcos in strides": (
        "fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
        NORMED,
        STRIDES,
    ),
    "nas-fcos": (
        "nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco.py",
        NORMED,
        STRIDES,
    ),
    "autoassign": ("autoassign/autoassign_r50-caffe_fpn_1x_coco.py", NORMED, STRIDES),
    "fovea": ("foveabox/fovea_r50_fpn_4xb4-1x_coco.py", SMALL, STRIDES),
    "vfnet": ("vfnet/vfnet_r50_fpn_1x_coco.py", NORMED, STRIDES),
    "reppoints": (
        "reppoints/reppoints-moment_r50_fpn_1x_coco.py",
        SMALL | dict(point_feat_channels=CHANNELS),
        STRIDES,
    ),
    "rtmdet": ("rtmdet/rtmdet_l_8xb32-300e_coco.py", NORMED, STRIDES[:3]),
    "yolox": ("yolox/yolox_s_8xb8-300e_coco.py", SMALL, STRIDES[:3]),
    "yolof": (
        "yolof/yolof_r50-c5_8xb8-1x_coco.py",
        dict(num_classes=CLASSES, in_channels=CHANNELS),
        (32,),
    ),
}


def build(name):
    config, options, strides = HEADS[name]
    head = build_head(config, **options)
    return head, head_inputs(head, strides, 128)


def tensors(output):
    if isinstance(output, torch.Tensor):
        return [output]
    return [tensor for item in output for tensor in tensors(item)]


def run(head, features):
    towers = HeadTowers(head)
    activations = {
        (depth, name): module
        for depth in towers.preactivations()
        for name, module in towers.activations(depth).items()
    }
    with OutputRecorder(towers.modules(), inputs=activations) as recorder:
        output = head(features)
    found = towers.collect(
        {name: recorder.outputs(name) for name in towers.modules()},
        {
            depth: {name: recorder.outputs((depth, name)) for name in towers.activations(depth)}
            for depth in towers.preactivations()
        },
    )
    return towers, output, found


@pytest.mark.parametrize("name", HEADS)
def test_the_rest_of_a_head_on_its_own_features_is_the_head(name):
    head, features = build(name)
    towers, output, found = run(head, features)
    assert towers.depths == (len(found.cls), len(found.reg))
    assert {len(conv) for conv in found.cls + found.reg} == {len(features)}
    weights = {key: value.clone() for key, value in head.state_dict().items()}
    assert found.preactivations.keys() == set(range(1, min(towers.depths) + 1))
    for depth in range(1, min(towers.depths) + 1):
        given = found.cls[depth - 1], found.reg[depth - 1]
        rest = towers.forward_from(depth, *given, features)
        before = found.preactivations[depth]
        assert not torch.equal(before[0][0], given[0][0])
        kept = [level.clone() for level in before[0]]
        activated = towers.forward_from(depth, *before, features, preactivated=True)
        assert all(map(torch.equal, before[0], kept)), "an activation has overwritten its input"
        for own, *again in zip(tensors(output), tensors(rest), tensors(activated), strict=True):
            assert all(torch.equal(own, other) for other in again)
    assert all(torch.equal(value, weights[key]) for key, value in head.state_dict().items())
    for own, again in zip(tensors(output), tensors(head(features)), strict=True):
        assert torch.equal(own, again)


def test_convolutions_before_the_given_features_do_not_run():
    head, features = build("gfl")
    _, _, found = run(head, features)
    calls = []
    for tower in (head.cls_convs, head.reg_convs):
        for index, conv in enumerate(tower):
            conv.register_forward_hook(lambda *_, index=index: calls.append(index))
    HeadTowers(head).forward_from(2, found.cls[1], found.reg[1], features)
    assert set(calls) == {2}
    assert len(calls) == 2 * len(features)


def test_gradients_flow_through_the_frozen_head_to_the_features():
    head, features = build("retinanet")
    head.requires_grad_(False)
    _, _, found = run(head, features)
    cls, reg = (
        [level.detach().clone().requires_grad_() for level in conv]
        for conv in (found.cls[1], found.reg[1])
    )
    predictions = RunnableHead(head).predict_from(2, cls, reg)
    logits = torch.autograd.grad(
        sum(level.sum() for level in predictions.cls_logits),
        cls + reg,
        allow_unused=True,
        retain_graph=True,
    )
    assert all(gradient.abs().sum() > 0 for gradient in logits[: len(cls)])
    assert all(gradient is None for gradient in logits[len(cls) :])
    boxes = torch.autograd.grad(sum(level.sum() for level in predictions.boxes), reg)
    assert all(gradient.abs().sum() > 0 for gradient in boxes)
    assert all(parameter.grad is None for parameter in head.parameters())


def test_features_of_half_precision_are_brought_to_the_heads():
    head, features = build("retinanet")
    halves = [level.bfloat16() for level in features]
    predictions = RunnableHead(head).predict(halves)
    expected = build_adapter(head)(head(tuple(level.float() for level in halves)))
    for own, other in zip(predictions.boxes, expected.boxes, strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize("name", ["gfl", "rtmdet"])
def test_levels_that_are_compared_are_predicted_as_among_all(name):
    head, features = build(name)
    _, output, found = run(head, features)
    whole = build_adapter(head)(output)
    levels = (2, 0)
    part = (
        RunnableHead(head)
        .select(levels)
        .predict_from(
            1, *([conv[level] for level in levels] for conv in (found.cls[0], found.reg[0]))
        )
    )
    for index, level in enumerate(levels):
        assert_close(part.cls_logits[index], whole.cls_logits[level])
        assert_close(part.boxes[index], whole.boxes[level])


def test_what_cannot_be_run_is_said():
    head, features = build("gfl")
    _, _, found = run(head, features)
    towers = HeadTowers(head)
    with pytest.raises(ValueError, match=r"depth=4 must be from 1 to 3: .* GFLHead have 3"):
        towers.forward_from(4, found.cls[0], found.reg[0], features)
    with pytest.raises(ValueError, match="reg_features of 4 and features of 5 levels"):
        towers.forward_from(1, found.cls[0], found.reg[0][:4], features)
    doubled = RunnableHead(head).select((0, 0))
    with pytest.raises(ValueError, match=r"model\.level_map pairs a pyramid level of the GFLHead"):
        doubled.predict_from(1, found.cls[0][:2], found.reg[0][:2])


def test_convolutions_without_an_activation_of_their_own_have_nothing_before_it():
    config, options, strides = HEADS["yolox"]
    head = build_head(config, **options, use_depthwise=True)
    towers, _, found = run(head, head_inputs(head, strides, 128))
    assert towers.preactivations() == frozenset()
    assert found.preactivations == {}
    with pytest.raises(ValueError, match=r"depth=1: the towers of YOLOXHead .* at \[\] only"):
        towers.forward_from(1, found.cls[0], found.reg[0], found.cls[0], preactivated=True)


@pytest.mark.parametrize(
    "config",
    [
        dict(type="RPNHead", in_channels=CHANNELS, feat_channels=CHANNELS),
        dict(
            type="SSDHead",
            in_channels=(4, 4),
            num_classes=CLASSES,
            anchor_generator=dict(
                type="SSDAnchorGenerator",
                strides=[8, 16],
                ratios=[[2], [2]],
                min_sizes=[8, 16],
                max_sizes=[16, 32],
            ),
        ),
    ],
    ids=["rpn", "ssd"],
)
def test_heads_without_two_towers_are_refused(config):
    head = MMDET_MODELS.build(config)
    with pytest.raises(UnsupportedHeadError, match=f"{config['type']} has no separate towers"):
        HeadTowers(head)


def test_a_head_with_one_tower_for_both_tasks_is_refused():
    head = MMDET_MODELS.build(
        dict(
            type="RTMDetInsSepBNHead",
            num_classes=CLASSES,
            in_channels=CHANNELS,
            feat_channels=CHANNELS,
            stacked_convs=2,
            norm_cfg=dict(type="BN"),
            anchor_generator=dict(type="MlvlPointGenerator", offset=0, strides=[8, 16]),
            bbox_coder=dict(type="DistancePointBBoxCoder"),
        )
    )
    with pytest.raises(UnsupportedHeadError, match="the same convolutions in cls_convs"):
        HeadTowers(head)
