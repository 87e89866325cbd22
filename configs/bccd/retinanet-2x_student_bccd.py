"""The plain student on BCCD, trained twice as long: 48 epochs.

Needs BCCD in COCO format, see ../_base_/datasets/bccd.py.
"""

_base_ = "retinanet_student_bccd.py"

train_cfg = dict(max_epochs=48, val_interval=48)
