"""The plain student on nuclei: a RetinaNet of a quarter of the teacher's width, 24 epochs.

Needs the nuclei in COCO format, see ../_base_/datasets/nuclei.py.
"""

_base_ = [
    "../_base_/models/retinanet_r18w8_fpn32.py",
    "../_base_/datasets/nuclei.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(
    # Half of the nuclei are smaller than 18 pixels.
    bbox_head=dict(num_classes=1, anchor_generator=dict(octave_base_scale=1)),
)
train_cfg = dict(max_epochs=24, val_interval=24)
