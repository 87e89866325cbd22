"""The teacher on nuclei: a RetinaNet with a narrow ResNet-18, from random weights, 48 epochs.

Needs the nuclei in COCO format, see ../_base_/datasets/nuclei.py.
"""

_base_ = [
    "../_base_/models/retinanet_r18w32_fpn64.py",
    "../_base_/datasets/nuclei.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(
    # Half of the nuclei are smaller than 18 pixels.
    bbox_head=dict(num_classes=1, anchor_generator=dict(octave_base_scale=1)),
)
train_cfg = dict(max_epochs=48, val_interval=48)
