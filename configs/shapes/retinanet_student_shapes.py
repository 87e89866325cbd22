"""The plain student on shapes: a RetinaNet of a quarter of the teacher's width, 10 epochs.

Needs nothing: the data set is written on first use. About a minute on 2 CPU cores.
"""

_base_ = [
    "../_base_/models/retinanet_r18w8_fpn32.py",
    "../_base_/datasets/shapes.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(bbox_head=dict(num_classes=5))
train_cfg = dict(max_epochs=10, val_interval=10)
