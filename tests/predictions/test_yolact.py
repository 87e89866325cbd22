import pytest
from dense_check import assert_modes_agree, assert_predictions_found, box_gradients
from dense_heads import CHANNELS, NARROW, build_head, head_inputs, random_output

from tbd.predictions import UnsupportedHeadError, build_adapter

pytestmark = pytest.mark.openmmlab


def head_and_features():
    head = build_head(
        "yolact/yolact_r50_1xb8-55e_coco.py", **NARROW, feat_channels=CHANNELS, num_protos=5
    )
    return head, head_inputs(head, (8, 16, 32, 64, 128), 32)


def test_everything_the_head_predicts_is_found_in_the_dense_predictions():
    head, features = head_and_features()
    raw = random_output(head(features), 2.0, 0.2, 1.0)
    fast_nms = dict(iou_thr=1.0, top_k=10**6)
    assert_predictions_found(head, raw, build_adapter(head)(raw), cfg=fast_nms)
    assert_modes_agree(head, features)


def test_boxes_are_float32_and_pass_a_gradient_to_every_delta():
    head, features = head_and_features()
    _, delta_grads, coefficient_grads = box_gradients(
        head, random_output(head(features), 1.0, 0.2, 1.0)
    )
    assert all((level != 0).all() for level in delta_grads)
    assert all((level == 0).all() for level in coefficient_grads)


def test_output_without_coefficients_is_refused():
    head, features = head_and_features()
    with pytest.raises(UnsupportedHeadError, match="mask coefficients"):
        build_adapter(head)(head(features)[:2])
