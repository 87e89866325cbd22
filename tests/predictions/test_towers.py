"""The rest of a head, from each convolution of its towers on, is the head."""

import pytest
import torch
from dense_heads import CHANNELS, CLASSES, build_head, head_inputs
from head_towers import HEADS, build_towered, run_towers
from mmdet.registry import MODELS as MMDET_MODELS

from tbd.predictions import HeadTowers, UnsupportedHeadError

pytestmark = pytest.mark.openmmlab


def tensors(output):
    if isinstance(output, torch.Tensor):
        return [output]
    return [tensor for item in output for tensor in tensors(item)]


@pytest.mark.parametrize("name", HEADS)
def test_the_rest_of_a_head_on_its_own_features_is_the_head(name):
    head, features = build_towered(name)
    towers, output, found = run_towers(head, features)
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
    head, features = build_towered("gfl")
    _, _, found = run_towers(head, features)
    calls = []
    for tower in (head.cls_convs, head.reg_convs):
        for index, conv in enumerate(tower):
            conv.register_forward_hook(lambda *_, index=index: calls.append(index))
    HeadTowers(head).forward_from(2, found.cls[1], found.reg[1], features)
    assert set(calls) == {2}
    assert len(calls) == 2 * len(features)


def test_what_cannot_be_run_is_said():
    head, features = build_towered("gfl")
    _, _, found = run_towers(head, features)
    towers = HeadTowers(head)
    with pytest.raises(ValueError, match=r"depth=4 must be from 1 to 3: .* GFLHead have 3"):
        towers.forward_from(4, found.cls[0], found.reg[0], features)
    with pytest.raises(ValueError, match="reg_features of 4 and features of 5 levels"):
        towers.forward_from(1, found.cls[0], found.reg[0][:4], features)


def test_convolutions_without_an_activation_of_their_own_have_nothing_before_it():
    config, options, strides = HEADS["yolox"]
    head = build_head(config, **options, use_depthwise=True)
    towers, _, found = run_towers(head, head_inputs(head, strides, 128))
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
