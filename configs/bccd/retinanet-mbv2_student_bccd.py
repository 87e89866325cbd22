"""The pretrained plain student on BCCD: a RetinaNet with MobileNetV2 and a thin head.

Needs BCCD in COCO format, see ../_base_/datasets/bccd.py, and the backbone's weights, see
../_base_/models/retinanet_mobilenetv2_fpn128.py.
"""

_base_ = [
    "../_base_/models/retinanet_mobilenetv2_fpn32.py",
    "../_base_/datasets/bccd.py",
    "../_base_/schedule_pretrained.py",
    "../_base_/runtime.py",
]

model = dict(bbox_head=dict(num_classes=3))
train_cfg = dict(max_epochs=12, val_interval=12)
