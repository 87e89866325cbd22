"""The pretrained teacher on BCCD: a RetinaNet with MobileNetV2, 24 epochs.

Needs BCCD in COCO format, see ../_base_/datasets/bccd.py, and the backbone's weights, see
../_base_/models/retinanet_mobilenetv2_fpn128.py.
"""

_base_ = [
    "../_base_/models/retinanet_mobilenetv2_fpn128.py",
    "../_base_/datasets/bccd.py",
    "../_base_/schedule_pretrained.py",
    "../_base_/runtime.py",
]

model = dict(bbox_head=dict(num_classes=3))
train_cfg = dict(max_epochs=24, val_interval=24)
