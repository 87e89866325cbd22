"""The two-stage teacher on shapes: a Faster R-CNN with a narrow ResNet-18, from random weights.

Needs nothing: the data set is written on first use.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r18w32_fpn64.py",
    "../_base_/datasets/shapes.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=5)))
