import pytest
import tiny
import torch
from dense_check import assert_predictions_found

from tbd.detectors import build_detector, resolve_model_config
from tbd.predictions import UnsupportedHeadError, build_adapter, find_dense_head

CONFIGS = {
    "retinanet": tiny.retinanet(),
    "softmax": tiny.retinanet(loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False)),
    "rpn": tiny.faster_rcnn(),
}


def dense_head(name):
    torch.manual_seed(0)
    detector = build_detector(resolve_model_config(CONFIGS[name])).eval()
    return find_dense_head(detector)[1]


def outputs(head, size=64):
    """Random raw output of a plausible scale, which fresh weights do not give."""
    generator = torch.Generator().manual_seed(1)
    strides = [stride[0] for stride in head.prior_generator.strides]
    anchors = head.num_base_priors
    return tuple(
        [
            torch.randn(2, anchors * channels, size // s, size // s, generator=generator) * scale
            for s in strides
        ]
        for channels, scale in ((head.cls_out_channels, 2.0), (4, 0.2))
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_everything_the_head_predicts_is_found_in_the_dense_predictions(name):
    head = dense_head(name)
    raw = outputs(head)
    assert_predictions_found(head, raw, build_adapter(head)(raw))


def test_boxes_are_differentiable_and_float32_under_half_precision():
    head = dense_head("retinanet")
    cls_scores, bbox_preds = outputs(head)
    leaves = [level.bfloat16().requires_grad_() for level in bbox_preds]
    dense = build_adapter(head)((cls_scores, leaves))
    assert all(level.dtype == torch.float32 for level in dense.boxes)
    # The sum of both corners alone would not depend on a box's size.
    sum((level * torch.tensor([1.0, 2, 3, 5])).sum() for level in dense.boxes).backward()
    assert all((leaf.grad != 0).all() for leaf in leaves)


def test_layouts_tell_whether_predictions_correspond():
    same = [build_adapter(dense_head("retinanet")).prior_layout for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != build_adapter(dense_head("rpn")).prior_layout


def test_output_of_another_form_is_refused():
    head = dense_head("retinanet")
    cls_scores, bbox_preds = outputs(head)
    with pytest.raises(UnsupportedHeadError, match="output is of another form"):
        build_adapter(head)((cls_scores, bbox_preds, bbox_preds))
    with pytest.raises(UnsupportedHeadError, match="output is of another form"):
        build_adapter(head)((bbox_preds, cls_scores))


def test_head_without_adapter_is_told_its_bases_and_what_is_supported():
    with pytest.raises(UnsupportedHeadError, match=r"Linear \(bases: Linear, Module\).*RetinaHead"):
        build_adapter(torch.nn.Linear(1, 1))


def test_detector_without_dense_head():
    detector = torch.nn.Module()
    detector.bbox_head = torch.nn.Linear(1, 1)
    assert find_dense_head(detector) is None
