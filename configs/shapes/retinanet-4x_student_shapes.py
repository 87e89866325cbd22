"""The plain student on shapes, trained four times as long: 40 epochs.

Needs nothing: the data set is written on first use.
"""

_base_ = "retinanet_student_shapes.py"

train_cfg = dict(max_epochs=40, val_interval=40)
