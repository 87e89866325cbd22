"""The plain student on BCCD: a RetinaNet of a quarter of the teacher's width, 24 epochs.

Needs BCCD in COCO format, see ../_base_/datasets/bccd.py.
"""

_base_ = [
    "../_base_/models/retinanet_r18w8_fpn32.py",
    "../_base_/datasets/bccd.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(bbox_head=dict(num_classes=3))
train_cfg = dict(max_epochs=24, val_interval=24)
