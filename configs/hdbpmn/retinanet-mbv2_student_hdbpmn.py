"""The pretrained plain student on hdBPMN: a RetinaNet with MobileNetV2 and a thin head.

Needs hdBPMN in COCO format, see ../_base_/datasets/hdbpmn.py, and the backbone's weights, see
../_base_/models/retinanet_mobilenetv2_fpn128.py.
"""

_base_ = [
    "../_base_/models/retinanet_mobilenetv2_fpn32.py",
    "../_base_/datasets/hdbpmn.py",
    "../_base_/schedule_pretrained.py",
    "../_base_/runtime.py",
]

model = dict(
    # Pools are as large as the image.
    neck=dict(num_outs=5),
    bbox_head=dict(num_classes=13, anchor_generator=dict(strides=[8, 16, 32, 64, 128])),
)
train_cfg = dict(max_epochs=12, val_interval=12)
