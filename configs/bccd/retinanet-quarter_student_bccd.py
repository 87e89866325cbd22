"""The plain student on every fourth image of BCCD, 52, for as many steps as on all: 90 epochs.

Needs BCCD in COCO format, see ../_base_/datasets/bccd.py.
"""

_base_ = "retinanet_student_bccd.py"

train_dataloader = dict(dataset=dict(indices=[*range(0, 205, 4)]))
train_cfg = dict(max_epochs=90, val_interval=90)
