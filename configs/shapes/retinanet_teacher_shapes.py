"""The teacher on shapes: a RetinaNet with a narrow ResNet-18, from random weights.

Needs nothing: the data set is written on first use. About 3 minutes on 2 CPU cores.
"""

_base_ = [
    "../_base_/models/retinanet_r18w32_fpn64.py",
    "../_base_/datasets/shapes.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(bbox_head=dict(num_classes=5))
