import pytest
from dense_check import assert_modes_agree, assert_predictions_found, box_gradients
from dense_heads import CHANNELS, NORMED_TOWER, build_head, head_inputs, random_output

from tbd.predictions import UnsupportedHeadError, build_adapter

VARIANTS = (
    "reppoints-moment_r50_fpn_1x_coco.py",
    "reppoints-minmax_r50_fpn-gn_head-gn_1x_coco.py",
    "reppoints-partial-minmax_r50_fpn-gn_head-gn_1x_coco.py",
    "reppoints-bbox_r50_fpn-gn_head-gn-grid_1x_coco.py",
)


def head_and_features(variant=VARIANTS[0]):
    head = build_head(f"reppoints/{variant}", **NORMED_TOWER, point_feat_channels=CHANNELS)
    return head, head_inputs(head, (8, 16, 32, 64, 128), 64)


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_the_head_predicts_is_found_in_the_dense_predictions(variant):
    head, features = head_and_features(variant)
    raw = random_output(head(features), 2.0, 2.0)
    assert_predictions_found(head, raw, build_adapter(head)(raw))
    assert_modes_agree(head, features)


def test_boxes_are_float32_and_pass_a_gradient_to_every_refined_point():
    head, features = head_and_features()
    cls_grads, initial_grads, refined_grads = box_gradients(
        head, random_output(head.train()(features), 1.0, 1.0, 1.0)
    )
    assert all((level != 0).all() for level in refined_grads)
    assert all((level == 0).all() for level in (*cls_grads, *initial_grads))


def test_output_of_another_form_is_refused():
    head, features = head_and_features()
    raw = head(features)
    with pytest.raises(UnsupportedHeadError, match=r"\(class logits, boxes\)"):
        build_adapter(head)((*raw, raw[1]))
    # The same output, which evaluation gives and training does not.
    with pytest.raises(UnsupportedHeadError, match="initial points, refined points"):
        build_adapter(head.train())(raw)
