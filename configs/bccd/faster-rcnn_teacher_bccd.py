"""The two-stage teacher on BCCD: a Faster R-CNN with a narrow ResNet-18, 48 epochs.

From random weights. Needs BCCD in COCO format, see ../_base_/datasets/bccd.py.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r18w32_fpn64.py",
    "../_base_/datasets/bccd.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
train_cfg = dict(max_epochs=48, val_interval=48)
