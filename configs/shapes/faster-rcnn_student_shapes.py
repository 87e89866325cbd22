"""The plain two-stage student on shapes: a quarter of the teacher's width, for 5 epochs.

Needs nothing: the data set is written on first use.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r18w8_fpn32.py",
    "../_base_/datasets/shapes.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=5)))
train_cfg = dict(max_epochs=5, val_interval=5)
