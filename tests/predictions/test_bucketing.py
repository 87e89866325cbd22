import pytest
import torch
from dense_check import assert_modes_agree, assert_predictions_found, box_gradients
from dense_heads import TOWER, build_head, head_inputs, random_output

from tbd.predictions import UnsupportedHeadError, build_adapter

pytestmark = pytest.mark.openmmlab


def head_and_features():
    head = build_head("sabl/sabl-retinanet_r50_fpn_1x_coco.py", **TOWER)
    return head, head_inputs(head, (8, 16, 32, 64, 128), 32)


def test_everything_the_head_predicts_is_found_in_the_dense_predictions():
    head, features = head_and_features()
    raw = random_output(head(features), 2.0, 2.0)
    assert_predictions_found(head, raw, build_adapter(head)(raw))
    assert_modes_agree(head, features)


def test_boxes_are_float32_and_pass_a_gradient_to_the_offset_from_each_sides_bucket():
    head, features = head_and_features()
    raw = random_output(head(features), 1.0, 1.0)
    _, grads = box_gradients(head, raw)
    for (bucket_grads, offset_grads), (buckets, _) in zip(grads, raw[1], strict=True):
        chosen = buckets.bfloat16().unflatten(1, (4, 7)).argmax(dim=2, keepdim=True)
        reached = offset_grads.unflatten(1, (4, 7)) != 0
        assert reached.gather(2, chosen).all()
        assert (reached.sum(dim=2) == 1).all()
        assert (bucket_grads == 0).all()


def test_certain_buckets_keep_the_quality_and_its_gradient_finite():
    head, features = head_and_features()
    cls_scores, pairs = random_output(head(features), 1.0, 1.0)
    buckets = [(level * 1000).requires_grad_() for level, _ in pairs]
    dense = build_adapter(head)(
        (cls_scores, list(zip(buckets, (offsets for _, offsets in pairs), strict=True)))
    )
    assert all(level.isfinite().all() for level in dense.quality)
    sum(level.sum() for level in dense.ranking_logits).backward()
    assert all(level.grad.isfinite().all() for level in buckets)


def test_output_of_another_form_is_refused():
    head, features = head_and_features()
    cls_scores, pairs = head(features)
    for output in (
        (cls_scores, [bucket for bucket, _ in pairs]),
        (cls_scores, [(*pair, pair[0]) for pair in pairs]),
        cls_scores,
        torch.zeros(()),
    ):
        with pytest.raises(UnsupportedHeadError, match=r"\(class logits, bucket logits, offsets\)"):
            build_adapter(head)(output)
