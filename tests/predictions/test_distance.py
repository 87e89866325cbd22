import pytest
import tiny
import torch
from dense_check import assert_modes_agree, assert_predictions_found, box_gradients
from dense_heads import NORM, NORMED_TOWER, TOWER, build_head, head_inputs, random_output
from mmdet.registry import MODELS as MMDET_MODELS

from tbd.predictions import UnsupportedHeadError, build_adapter
from tbd.registry import MODELS

FCOS = "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"
MASK_KERNELS = dict(num_prototypes=2, dyconv_channels=2, num_dyconvs=2)

# A detector's config and the options that make its head small.
HEADS = {
    "fcos": (FCOS, NORMED_TOWER),
    "fcos in strides": (
        "fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
        NORMED_TOWER,
    ),
    "nas-fcos": (
        "nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco.py",
        NORMED_TOWER,
    ),
    "condinst": (
        "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py",
        NORMED_TOWER | dict(num_params=5),
    ),
    "boxinst": ("boxinst/boxinst_r50_fpn_ms-90k_coco.py", NORMED_TOWER | dict(num_params=5)),
    # An option that this head inherits from FCOS and does not heed.
    "autoassign": (
        "autoassign/autoassign_r50-caffe_fpn_1x_coco.py",
        NORMED_TOWER | dict(norm_on_bbox=True),
    ),
    "centernet update": ("centernet/centernet-update_r50-caffe_fpn_ms-1x_coco.py", NORMED_TOWER),
    "fovea": ("foveabox/fovea_r50_fpn_4xb4-1x_coco.py", TOWER),
    "fovea, aligned": ("foveabox/fovea_r50_fpn_gn-head-align_4xb4-2x_coco.py", NORMED_TOWER),
    "vfnet": ("vfnet/vfnet_r50_fpn_1x_coco.py", NORMED_TOWER),
    "rtmdet": ("rtmdet/rtmdet_l_8xb32-300e_coco.py", NORMED_TOWER),
    "rtmdet, linear": ("rtmdet/rtmdet_tiny_8xb32-300e_coco.py", NORMED_TOWER),
    "rtmdet, objectness": (
        "rtmdet/rtmdet_l_8xb32-300e_coco.py",
        NORMED_TOWER | dict(with_objectness=True),
    ),
    "rtmdet-ins": ("rtmdet/rtmdet-ins_l_8xb32-300e_coco.py", NORMED_TOWER | MASK_KERNELS),
}
PLAIN_RTMDET = dict(
    type="RTMDetHead",
    anchor_generator=dict(type="MlvlPointGenerator", offset=0, strides=[8, 16, 32]),
    bbox_coder=dict(type="DistancePointBBoxCoder"),
    loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True),
    **NORMED_TOWER,
)


def build(name, **changes):
    if name == "rtmdet, plain":
        torch.manual_seed(0)
        return MMDET_MODELS.build(PLAIN_RTMDET | changes).eval()
    config, options = HEADS[name]
    return build_head(config, **options | changes)


def inputs(head):
    return head_inputs(head, [stride for stride, _ in head.prior_generator.strides], 64)


def outputs(head, distance=20.0):
    output = head(inputs(head))
    cls_logits, distances, *rest = random_output(output, 2.0, distance, *[1.0 for _ in output[2:]])
    return (cls_logits, [level.abs() for level in distances], *rest)


@pytest.mark.parametrize("name", [*HEADS, "rtmdet, plain"])
def test_everything_the_head_predicts_is_found_in_the_dense_predictions(name):
    head = build(name)
    raw = outputs(head, distance=1.0 if "fovea" in name else 20.0)
    assert_predictions_found(head, raw, build_adapter(head)(raw), cfg=dict(mask_thr_binary=0.5))
    assert_modes_agree(head, inputs(head))


def test_fcos_is_read_where_it_is_an_rpn():
    head = build_head(
        "faster_rcnn/faster-rcnn_r50_fpn_fcos-rpn_1x_coco.py",
        "rpn_head",
        **NORMED_TOWER | dict(num_classes=1),
    )
    raw = outputs(head)
    assert build_adapter(head).num_classes == 1
    assert_predictions_found(head, raw, build_adapter(head)(raw))


@pytest.mark.parametrize("name", ["fcos in strides", "centernet update", "fovea", "rtmdet"])
def test_boxes_are_float32_and_pass_a_gradient_to_every_distance(name):
    head = build(name).train()
    cls_grads, distance_grads, *rest = box_gradients(head, outputs(head, distance=1.0))
    assert all((level != 0).all() for level in distance_grads)
    assert all((level == 0).all() for item in (cls_grads, *rest) for level in item)


def test_vfnet_is_read_by_its_refined_distances():
    head = build("vfnet").train()
    cls_grads, initial_grads, refined_grads = box_gradients(head, outputs(head))
    assert all((level != 0).all() for level in refined_grads)
    assert all((level == 0).all() for level in (*cls_grads, *initial_grads))


def test_layouts_tell_whether_predictions_correspond():
    layouts = {name: build_adapter(build(name)).prior_layout for name in HEADS}
    in_the_middle_of_cells = {"fcos", "fcos in strides", "nas-fcos", "condinst", "boxinst"}
    in_the_middle_of_cells |= {"centernet update", "fovea", "fovea, aligned"}
    groups = [
        in_the_middle_of_cells,
        {"autoassign", "vfnet"},
        {"rtmdet", "rtmdet, linear", "rtmdet, objectness", "rtmdet-ins"},
    ]
    assert set().union(*groups) == set(HEADS)
    assert [len({layouts[name] for name in group}) for group in groups] == [1, 1, 1]
    assert len(set(layouts.values())) == 3
    # The same strides, other offsets: these two are told apart by the offset alone.
    assert (
        build_adapter(build("fcos", strides=[8, 16, 32], regress_ranges=3 * [(0, 1)])).prior_layout
        != layouts["rtmdet"]
    )


def test_a_student_like_its_teacher_has_nothing_to_learn_though_their_heads_differ_in_units():
    detector = tiny.retinanet() | dict(type="FCOS")
    detector["bbox_head"] = dict(
        type="FCOSHead",
        num_classes=3,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        strides=[8, 16, 32],
        regress_ranges=((-1, 32), (32, 64), (64, 1e8)),
        norm_on_bbox=True,
        norm_cfg=NORM,
    )
    model = MODELS.build(
        tiny.wrapper(
            student=detector,
            teacher=detector,
            distill=dict(hd=dict(type="tbd.HarmonyDistillation", norm="sigmoid")),
        )
    ).train()
    # Distances well above 0, where a factor makes a difference.
    torch.nn.init.constant_(model.teacher.bbox_head.conv_reg.bias, 1.0)
    model.student.load_state_dict(model.teacher.state_dict())
    losses = model(**tiny.batch(model), mode="loss")
    assert losses["hd.harmony_teacher"] > 0
    torch.testing.assert_close(losses["hd.harmony_student"], losses["hd.harmony_teacher"])
    assert losses["hd.loss_harmony"] < 1e-5


@pytest.mark.parametrize(
    ("name", "keep", "expected"),
    [
        ("fcos", 2, "class logits, distances, centerness"),
        ("condinst", 3, "class logits, distances, centerness, mask parameters"),
        ("rtmdet", 1, "class logits, distances"),
        ("rtmdet-ins", 3, "class logits, distances, mask kernels"),
        ("vfnet", 1, "class logits, refined distances"),
    ],
)
def test_output_of_another_form_is_refused(name, keep, expected):
    head = build(name)
    raw = head(inputs(head))
    for output in (raw[:keep], (*raw, raw[0]), None):
        with pytest.raises(UnsupportedHeadError, match=rf"another form.*\({expected}\)"):
            build_adapter(head)(output)


def test_head_around_anchors_in_place_of_points_is_refused():
    anchors = dict(
        type="AnchorGenerator", ratios=[1.0], octave_base_scale=8, scales_per_octave=1
    ) | dict(strides=[8, 16, 32])
    head = build("rtmdet, plain", anchor_generator=anchors)
    with pytest.raises(UnsupportedHeadError, match=r"AnchorGenerator.*expects a MlvlPointGen"):
        build_adapter(head)


def test_softmax_beside_centerness_is_refused():
    head = build("fcos", loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False))
    with pytest.raises(UnsupportedHeadError, match=r"loss_cls\.use_sigmoid=True"):
        build_adapter(head)
