import pytest
import torch
from dense_check import assert_modes_agree, assert_predictions_found, box_gradients
from dense_heads import NORMED_TOWER, build_head, head_inputs, random_output

from tbd.predictions import UnsupportedHeadError, build_adapter

pytestmark = pytest.mark.openmmlab

HEADS = {
    "GFLHead": ("gfl/gfl_r50_fpn_1x_coco.py", {}),
    "GFLHead with fewer bins": ("gfl/gfl_r50_fpn_1x_coco.py", dict(reg_max=7)),
    "LDHead": ("ld/ld_r18-gflv1-r101_fpn_1x_coco.py", {}),
}


def head_and_features(name):
    config, changes = HEADS[name]
    head = build_head(config, **NORMED_TOWER, **changes)
    return head, head_inputs(head, (8, 16, 32, 64, 128), 32)


@pytest.mark.parametrize("name", HEADS)
def test_everything_the_head_predicts_is_found_in_the_dense_predictions(name):
    head, features = head_and_features(name)
    raw = random_output(head(features), 2.0, 2.0)
    assert_predictions_found(head, raw, build_adapter(head)(raw))
    assert_modes_agree(head, features)


def test_boxes_are_float32_and_pass_a_gradient_to_every_bin():
    head, features = head_and_features("GFLHead")
    cls_grads, bin_grads = box_gradients(head, random_output(head(features), 1.0, 1.0))
    assert all((level != 0).all() for level in bin_grads)
    assert all((level == 0).all() for level in cls_grads)


def test_autocast_leaves_the_boxes_as_they_are():
    head, features = head_and_features("GFLHead")
    raw = random_output(head(features), 1.0, 1.0)
    expected = build_adapter(head)(raw).boxes
    with torch.autocast("cpu", dtype=torch.bfloat16):
        boxes = build_adapter(head)(raw).boxes
    torch.testing.assert_close(boxes, expected, rtol=0, atol=0)


def test_expectation_is_taken_per_side_in_strides_from_the_centre_of_the_anchor():
    head, features = head_and_features("GFLHead")
    cls_scores, bbox_preds = random_output(head(features), 1.0, 1.0)
    stride, row, column = 8, 2, 1
    bins = bbox_preds[0][1, :, row, column].view(4, 17).softmax(dim=1)
    left, top, right, bottom = (bins @ torch.arange(17.0)).tolist()
    expected = torch.tensor([column - left, row - top, column + right, row + bottom]) * stride
    box = build_adapter(head)((cls_scores, bbox_preds)).boxes[0][1, row * 4 + column]
    torch.testing.assert_close(box, expected, rtol=0, atol=1e-4)


def test_layouts_agree_whatever_the_number_of_bins():
    layouts = {build_adapter(head_and_features(name)[0]).prior_layout for name in HEADS}
    assert len(layouts) == 1


def test_output_of_another_number_of_bins_is_refused():
    head, features = head_and_features("GFLHead")
    other, _ = head_and_features("GFLHead with fewer bins")
    with pytest.raises(UnsupportedHeadError, match=r"\(class logits, side distributions\)"):
        build_adapter(head)(other(features))
