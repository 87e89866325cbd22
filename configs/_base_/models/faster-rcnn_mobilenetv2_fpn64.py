"""Faster R-CNN for small images: MobileNetV2 with ImageNet weights, FPN and head of 64.

Needs the weights that retinanet_mobilenetv2_fpn128.py names.
"""

_base_ = "faster-rcnn_r18w32_fpn64.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="MobileNetV2",
        out_indices=(1, 2, 4, 6),
        frozen_stages=2,
        norm_eval=True,
        init_cfg=dict(type="Pretrained", checkpoint="{{$TBD_WEIGHTS:data}}/mobilenet_v2.pth"),
    ),
    neck=dict(in_channels=[24, 32, 96, 320]),
)
