"""RetinaNet for small images: MobileNetV2 with ImageNet weights, FPN and head of 128.

Needs torchvision's weights in MMDetection's names: download
https://download.pytorch.org/models/mobilenet_v2-b0353104.pth and run
`python tools/convert_mobilenet_v2.py mobilenet_v2-b0353104.pth data/mobilenet_v2.pth`; another
folder than data/ is named by the environment variable TBD_WEIGHTS.
"""

_base_ = "mmdet::_base_/models/retinanet_r50_fpn.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="MobileNetV2",
        out_indices=(2, 4, 6),
        frozen_stages=2,
        norm_eval=True,
        init_cfg=dict(type="Pretrained", checkpoint="{{$TBD_WEIGHTS:data}}/mobilenet_v2.pth"),
    ),
    neck=dict(in_channels=[32, 96, 320], out_channels=128, start_level=0, num_outs=4),
    bbox_head=dict(
        in_channels=128,
        feat_channels=128,
        stacked_convs=2,
        anchor_generator=dict(octave_base_scale=2, strides=[8, 16, 32, 64]),
    ),
)
