"""RetinaNet on COCO, 24 epochs: ResNet-101 (38.9 AP, downloaded) teaches MobileNetV2.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd_retinanet_r101_r50.py"
model = dict(
    student_options=dict(
        backbone=dict(
            _delete_=True,
            type="MobileNetV2",
            out_indices=(1, 2, 4, 6),
            init_cfg=dict(type="Pretrained", checkpoint="open-mmlab://mmdet/mobilenet_v2"),
        ),
        neck=dict(in_channels=[24, 32, 96, 320]),
    ),
)
