"""The two-stage teacher on nuclei: a Faster R-CNN with a narrow ResNet-18, 48 epochs.

From random weights. Needs the nuclei in COCO format, see ../_base_/datasets/nuclei.py.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r18w32_fpn64.py",
    "../_base_/datasets/nuclei.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(
    # Half of the nuclei are smaller than 18 pixels.
    rpn_head=dict(anchor_generator=dict(scales=[2])),
    roi_head=dict(bbox_head=dict(num_classes=1)),
)
train_cfg = dict(max_epochs=48, val_interval=48)
