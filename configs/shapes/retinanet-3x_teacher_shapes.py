"""The teacher on shapes, trained three times as long: 60 epochs.

Needs nothing: the data set is written on first use.
"""

_base_ = "retinanet_teacher_shapes.py"

train_cfg = dict(max_epochs=60, val_interval=60)
