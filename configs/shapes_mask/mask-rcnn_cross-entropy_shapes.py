"""Mask R-CNN on shapes with the cross entropy that it came with: what the others compare to.

Needs nothing: the data set is written on first use. About 2 minutes on one CPU core. The first
epoch is evaluated as well as the last.
"""

_base_ = [
    "../_base_/models/mask-rcnn_r18w16_fpn32.py",
    "../_base_/datasets/shapes_mask.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=5), mask_head=dict(num_classes=5)))
train_cfg = dict(max_epochs=6, val_interval=1, dynamic_intervals=[(3, 6)])
