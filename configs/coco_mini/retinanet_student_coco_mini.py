"""A smoke test on real COCO images: the plain student, of a quarter of the teacher's width.

Needs COCO mini, see ../_base_/datasets/coco_mini.py. Nothing is learnt from 128 images.
"""

_base_ = [
    "../_base_/models/retinanet_r18w8_fpn32.py",
    "../_base_/datasets/coco_mini.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

train_cfg = dict(max_epochs=2, val_interval=2)
