"""The teacher on BCCD: a RetinaNet with a narrow ResNet-18, from random weights, 48 epochs.

Needs BCCD in COCO format, see ../_base_/datasets/bccd.py.
"""

_base_ = [
    "../_base_/models/retinanet_r18w32_fpn64.py",
    "../_base_/datasets/bccd.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(bbox_head=dict(num_classes=3))
train_cfg = dict(max_epochs=48, val_interval=48)
