"""Mask R-CNN on nuclei with the cross entropy that it came with: what the others compare to.

Needs the nuclei in COCO format, see ../_base_/datasets/nuclei.py.
"""

_base_ = [
    "../_base_/models/mask-rcnn_r18w16_fpn32.py",
    "../_base_/datasets/nuclei_mask.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(
    # Half of the nuclei are smaller than 18 pixels.
    rpn_head=dict(anchor_generator=dict(scales=[2])),
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
)
train_cfg = dict(max_epochs=24, val_interval=24)
