import pytest
import torch
from dense_check import assert_modes_agree, assert_predictions_found, box_gradients
from dense_heads import NORMED_TOWER, build_head, head_inputs, random_output

from tbd.predictions import UnsupportedHeadError, build_adapter

VARIANTS = ("tood_r50_fpn_1x_coco.py", "tood_r50_fpn_anchor-based_1x_coco.py")


def head_and_features(variant=VARIANTS[0]):
    head = build_head(f"tood/{variant}", **NORMED_TOWER)
    return head, head_inputs(head, (8, 16, 32, 64, 128), 64)


def outputs(head, features):
    probabilities, boxes = random_output(head(features), 2.0, 5.0)
    return [level.sigmoid() for level in probabilities], boxes


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_the_head_predicts_is_found_in_the_dense_predictions(variant):
    head, features = head_and_features(variant)
    # Its own boxes too, where those of neighbouring cells that it samples differ from one another.
    for raw in (outputs(head, features), head(features)):
        assert_predictions_found(head, raw, build_adapter(head)(raw))
    assert_modes_agree(head, features)


def test_boxes_are_float32_and_pass_a_gradient_to_every_corner():
    head, features = head_and_features()
    cls_grads, box_grads = box_gradients(head, outputs(head, features))
    assert all((level != 0).all() for level in box_grads)
    assert all((level == 0).all() for level in cls_grads)


def test_logits_are_float32_and_pass_a_gradient_to_every_probability():
    head, features = head_and_features()
    probabilities, boxes = outputs(head, features)
    # None so near to 1 that it would be rounded to it.
    leaves = [(0.9 * level).bfloat16().requires_grad_() for level in probabilities]
    logits = build_adapter(head)((leaves, boxes)).cls_logits
    assert all(level.dtype == torch.float32 for level in logits)
    sum(level.sum() for level in logits).backward()
    assert all((leaf.grad > 0).all() for leaf in leaves)


def test_layout_is_that_of_heads_with_the_same_anchors():
    atss = build_head("atss/atss_r50_fpn_1x_coco.py", **NORMED_TOWER)
    heads = [atss, *(head_and_features(variant)[0] for variant in VARIANTS)]
    assert len({build_adapter(head).prior_layout for head in heads}) == 1


def test_output_of_another_form_is_refused():
    head, features = head_and_features()
    raw = head(features)
    for output in ((*raw, raw[1]), raw[::-1], None):
        with pytest.raises(UnsupportedHeadError, match=r"\(class probabilities, boxes\)"):
            build_adapter(head)(output)
