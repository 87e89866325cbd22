import pytest
import tiny
import torch
from dense_check import assert_modes_agree, assert_predictions_found, box_gradients
from dense_heads import CHANNELS, NARROW, NORM, TOWER, build_head, head_inputs, random_output

from tbd.detectors import build_detector, resolve_model_config
from tbd.predictions import UnsupportedHeadError, build_adapter, find_dense_head

pytestmark = pytest.mark.openmmlab

SIX_LEVELS = dict(in_channels=(CHANNELS,) * 6, num_classes=3)

# A head's config, the options that make it small, and the image's size.
HEADS = {
    "ghm": ("ghm/retinanet_r50_fpn_ghm-1x_coco.py", TOWER, 32),
    "pisa": ("pisa/retinanet-r50_fpn_pisa_1x_coco.py", TOWER, 32),
    "free_anchor": ("free_anchor/freeanchor_r50_fpn_1x_coco.py", TOWER, 32),
    "sepbn": ("nas_fpn/retinanet_r50_fpn_crop640-50e_coco.py", TOWER | dict(norm_cfg=NORM), 32),
    "fsaf": ("fsaf/fsaf_r50_fpn_1x_coco.py", TOWER, 32),
    "yolof": ("yolof/yolof_r50-c5_8xb8-1x_coco.py", NARROW | dict(norm_cfg=NORM), 64),
    "ssd": ("ssd/ssd300_coco.py", SIX_LEVELS, 64),
    "ssdlite": (
        "ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py",
        SIX_LEVELS | dict(norm_cfg=NORM),
        64,
    ),
    "pisa_ssd": ("pisa/ssd300_pisa_coco.py", SIX_LEVELS, 64),
}


def zoo_head(name):
    config, changes, size = HEADS[name]
    head = build_head(config, **changes)
    if "ssd" in name:
        # Without this attribute, which its constructor forgets, an SSD head's own prediction fails.
        head.loss_cls = None
    return head, head_inputs(head, [s for s, _ in head.prior_generator.strides], size)


def tiny_head(name):
    torch.manual_seed(0)
    config = {
        "retinanet": tiny.retinanet(),
        "softmax": tiny.retinanet(loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False)),
        "rpn": tiny.faster_rcnn(),
    }[name]
    head = find_dense_head(build_detector(resolve_model_config(config)).eval())[1]
    return head, head_inputs(head, [s for s, _ in head.prior_generator.strides], 64)


@pytest.mark.parametrize("name", ["retinanet", "softmax", "rpn", *HEADS])
def test_everything_the_head_predicts_is_found_in_the_dense_predictions(name):
    head, features = zoo_head(name) if name in HEADS else tiny_head(name)
    raw = random_output(head(features), 2.0, 0.2)
    assert_predictions_found(head, raw, build_adapter(head)(raw))
    assert_modes_agree(head, features)


@pytest.mark.parametrize("name", ["free_anchor", "fsaf", "yolof", "ssd"])
def test_boxes_are_float32_and_pass_a_gradient_to_every_delta(name):
    head, features = zoo_head(name)
    # Of a scale at which no coder clamps.
    raw = random_output(head(features), 1.0, 0.01)
    cls_grads, delta_grads = box_gradients(head, raw)
    assert all((level != 0).all() for level in delta_grads)
    assert all((level == 0).all() for level in cls_grads)


def test_anchors_per_location_may_differ_between_levels():
    head, features = zoo_head("ssd")
    adapter = build_adapter(head)
    assert adapter.anchors_per_location == (4, 6, 6, 6, 4, 4)
    assert adapter.num_classes == 3
    dense = adapter(head(features))
    assert dense.background
    cells = [level.shape[-2] * level.shape[-1] for level in features]
    expected = [a * n for a, n in zip(adapter.anchors_per_location, cells, strict=True)]
    assert [level.shape[1] for level in dense.boxes] == expected


def test_regression_is_of_deltas_where_the_coder_is_the_usual_one():
    assert build_adapter(tiny_head("retinanet")[0]).encoding == "deltas"
    head = tiny_head("rpn")[0]
    head.bbox_coder = build_detector(
        resolve_model_config(tiny.retinanet(bbox_coder=dict(type="TBLRBBoxCoder")))
    ).bbox_head.bbox_coder
    assert build_adapter(head).encoding == "other"


def test_layouts_tell_whether_predictions_correspond():
    layouts = {
        name: build_adapter(head).prior_layout
        for name, (head, _) in {
            **{name: zoo_head(name) for name in ("ghm", "pisa", "free_anchor", "fsaf", "ssd")},
            **{name: tiny_head(name) for name in ("retinanet", "softmax", "rpn")},
        }.items()
    }
    assert layouts["ghm"] == layouts["pisa"] == layouts["free_anchor"]
    assert layouts["retinanet"] == layouts["softmax"]
    assert len(set(layouts.values())) == 5


def test_output_of_another_form_is_refused():
    head, features = tiny_head("retinanet")
    cls_scores, bbox_preds = head(features)
    adapter = build_adapter(head)
    for output in (
        (cls_scores, bbox_preds, bbox_preds),
        (bbox_preds, cls_scores),
        (cls_scores[:1], bbox_preds[:1]),
        torch.zeros(()),
        None,
    ):
        with pytest.raises(UnsupportedHeadError, match=r"another form.*\(class logits, deltas\)"):
            adapter(output)


def test_head_without_adapter_is_told_its_bases_and_what_is_supported():
    with pytest.raises(
        UnsupportedHeadError, match=r"Linear \(bases: Linear, Module\).*RetinaHead.*new_head\.md"
    ):
        build_adapter(torch.nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (
            "cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py",
            dict(name="rpn_head", num_classes=1, train_cfg=None),
        ),
        ("guided_anchoring/ga-retinanet_r50_fpn_1x_coco.py", TOWER),
    ],
)
def test_heads_whose_anchors_depend_on_the_image_are_refused(config, options):
    head = build_head(config, **options)
    with pytest.raises(UnsupportedHeadError, match=f"No prediction adapter.*{type(head).__name__}"):
        build_adapter(head)


def test_detector_without_dense_head():
    detector = torch.nn.Module()
    detector.bbox_head = torch.nn.Linear(1, 1)
    with pytest.raises(UnsupportedHeadError, match=r"no dense head.*bbox_head is a Linear"):
        find_dense_head(detector)
