"""The plain two-stage student on BCCD: a Faster R-CNN of a quarter of the teacher's width.

Needs BCCD in COCO format, see ../_base_/datasets/bccd.py.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r18w8_fpn32.py",
    "../_base_/datasets/bccd.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
train_cfg = dict(max_epochs=24, val_interval=24)
