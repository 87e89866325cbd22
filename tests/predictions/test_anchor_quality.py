import pytest
from dense_check import assert_modes_agree, assert_predictions_found, box_gradients
from dense_heads import NORMED_TOWER, build_head, head_inputs, random_output

from tbd.predictions import PAAAdapter, UnsupportedHeadError, build_adapter

pytestmark = pytest.mark.openmmlab

STRIDES = (8, 16, 32, 64, 128)
HEADS = {
    "ATSSHead": "atss/atss_r50_fpn_1x_coco.py",
    "PAAHead": "paa/paa_r50_fpn_1x_coco.py",
    "LADHead": "lad/lad_r50-paa-r101_fpn_2xb8_coco_1x.py",
    "DDODHead": "ddod/ddod_r50_fpn_1x_coco.py",
}


def head_and_features(name):
    head = build_head(HEADS[name], **NORMED_TOWER)
    assert type(head).__name__ == name
    # Voting averages the boxes that survive NMS, which are then no longer predictions.
    head.with_score_voting = False
    return head, head_inputs(head, STRIDES, 32)


@pytest.mark.parametrize("name", HEADS)
def test_everything_the_head_predicts_is_found_in_the_dense_predictions(name):
    head, features = head_and_features(name)
    raw = random_output(head(features), 2.0, 0.2, 2.0)
    assert_predictions_found(head, raw, build_adapter(head)(raw))
    assert_modes_agree(head, features)


def test_ranking_is_the_geometric_mean_for_paa_only():
    assert {name: build_adapter(head_and_features(name)[0]).quality_exponent for name in HEADS} == {
        "ATSSHead": 1.0,
        "PAAHead": PAAAdapter.quality_exponent,
        "LADHead": 0.5,
        "DDODHead": 1.0,
    }


def test_boxes_are_float32_and_pass_a_gradient_to_every_delta():
    head, features = head_and_features("ATSSHead")
    cls_grads, delta_grads, quality_grads = box_gradients(
        head, random_output(head(features), 1.0, 0.2, 1.0)
    )
    assert all((level != 0).all() for level in delta_grads)
    assert all((level == 0).all() for level in (*cls_grads, *quality_grads))


def test_layout_is_that_of_the_anchors():
    layouts = {build_adapter(head_and_features(name)[0]).prior_layout for name in HEADS}
    assert len(layouts) == 1
    smaller = dict(
        type="AnchorGenerator", ratios=[1.0], octave_base_scale=4, scales_per_octave=1
    ) | dict(strides=STRIDES)
    head = build_head(HEADS["ATSSHead"], **NORMED_TOWER, anchor_generator=smaller)
    assert build_adapter(head).prior_layout not in layouts


def test_output_without_quality_is_refused():
    head, features = head_and_features("ATSSHead")
    with pytest.raises(UnsupportedHeadError, match=r"\(class logits, deltas, quality\)"):
        build_adapter(head)(head(features)[:2])


def test_softmax_beside_quality_is_refused():
    softmax = dict(loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False))
    head = build_head(HEADS["ATSSHead"], **NORMED_TOWER, **softmax)
    with pytest.raises(UnsupportedHeadError, match=r"loss_cls\.use_sigmoid=True"):
        build_adapter(head)
