"""The pretrained teacher on hdBPMN: a RetinaNet with MobileNetV2, 24 epochs.

Needs hdBPMN in COCO format, see ../_base_/datasets/hdbpmn.py, and the backbone's weights, see
../_base_/models/retinanet_mobilenetv2_fpn128.py.
"""

_base_ = [
    "../_base_/models/retinanet_mobilenetv2_fpn128.py",
    "../_base_/datasets/hdbpmn.py",
    "../_base_/schedule_pretrained.py",
    "../_base_/runtime.py",
]

model = dict(
    # Pools are as large as the image.
    neck=dict(num_outs=5),
    bbox_head=dict(num_classes=13, anchor_generator=dict(strides=[8, 16, 32, 64, 128])),
)
train_cfg = dict(max_epochs=24, val_interval=24)
