"""Dense heads with towers, small, and what their convolutions give."""

from dense_heads import CHANNELS, CLASSES, NORM, build_head, head_inputs

from tbd.detectors.recorder import OutputRecorder
from tbd.predictions import HeadTowers

SMALL = dict(num_classes=CLASSES, in_channels=CHANNELS, feat_channels=CHANNELS, stacked_convs=3)
NORMED = SMALL | dict(norm_cfg=NORM)
STRIDES = (8, 16, 32, 64, 128)

HEADS = {
    "retinanet": ("retinanet/retinanet_r50_fpn_1x_coco.py", SMALL, STRIDES),
    "free anchor": ("free_anchor/freeanchor_r50_fpn_1x_coco.py", SMALL, STRIDES),
    "fsaf": ("fsaf/fsaf_r50_fpn_1x_coco.py", SMALL, STRIDES),
    "sabl": ("sabl/sabl-retinanet_r50_fpn_1x_coco.py", SMALL, STRIDES),
    "gfl": ("gfl/gfl_r50_fpn_1x_coco.py", NORMED, STRIDES),
    "atss": ("atss/atss_r50_fpn_1x_coco.py", NORMED, STRIDES),
    "paa": ("paa/paa_r50_fpn_1x_coco.py", NORMED, STRIDES),
    "ddod": ("ddod/ddod_r50_fpn_1x_coco.py", NORMED, STRIDES),
    "fcos": ("fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", NORMED, STRIDES),
    "fcos in strides": (
        "fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
        NORMED,
        STRIDES,
    ),
    "nas-fcos": (
        "nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco.py",
        NORMED,
        STRIDES,
    ),
    "autoassign": ("autoassign/autoassign_r50-caffe_fpn_1x_coco.py", NORMED, STRIDES),
    "fovea": ("foveabox/fovea_r50_fpn_4xb4-1x_coco.py", SMALL, STRIDES),
    "vfnet": ("vfnet/vfnet_r50_fpn_1x_coco.py", NORMED, STRIDES),
    "reppoints": (
        "reppoints/reppoints-moment_r50_fpn_1x_coco.py",
        SMALL | dict(point_feat_channels=CHANNELS),
        STRIDES,
    ),
    "rtmdet": ("rtmdet/rtmdet_l_8xb32-300e_coco.py", NORMED, STRIDES[:3]),
    "yolox": ("yolox/yolox_s_8xb8-300e_coco.py", SMALL, STRIDES[:3]),
    "yolof": (
        "yolof/yolof_r50-c5_8xb8-1x_coco.py",
        dict(num_classes=CLASSES, in_channels=CHANNELS),
        (32,),
    ),
}


def build_towered(name):
    config, options, strides = HEADS[name]
    head = build_head(config, **options)
    return head, head_inputs(head, strides, 128)


def run_towers(head, features):
    towers = HeadTowers(head)
    activations = {
        (depth, name): module
        for depth in towers.preactivations()
        for name, module in towers.activations(depth).items()
    }
    with OutputRecorder(towers.modules(), inputs=activations) as recorder:
        output = head(features)
    found = towers.collect(
        {name: recorder.outputs(name) for name in towers.modules()},
        {
            depth: {name: recorder.outputs((depth, name)) for name in towers.activations(depth)}
            for depth in towers.preactivations()
        },
    )
    return towers, output, found
