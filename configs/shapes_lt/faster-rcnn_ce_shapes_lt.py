"""The baseline on long-tailed shapes: a small Faster R-CNN with cross entropy, 6 epochs.

Needs nothing: the data set is written on first use. About 2 minutes on a CPU core.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r18w8_fpn32.py",
    "../_base_/datasets/shapes_lt.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=5)))
train_cfg = dict(max_epochs=6, val_interval=6)
