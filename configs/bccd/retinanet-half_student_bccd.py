"""The plain student on every second image of BCCD, 103, for as many steps as on all: 48 epochs.

Needs BCCD in COCO format, see ../_base_/datasets/bccd.py.
"""

_base_ = "retinanet_student_bccd.py"

train_dataloader = dict(dataset=dict(indices=[*range(0, 205, 2)]))
train_cfg = dict(max_epochs=48, val_interval=48)
