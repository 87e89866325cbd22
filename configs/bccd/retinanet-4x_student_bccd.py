"""The plain student on BCCD, trained four times as long: 96 epochs.

Needs BCCD in COCO format, see ../_base_/datasets/bccd.py.
"""

_base_ = "retinanet_student_bccd.py"

train_cfg = dict(max_epochs=96, val_interval=96)
