"""The plain student on shapes, trained twice as long: 20 epochs.

Needs nothing: the data set is written on first use.
"""

_base_ = "retinanet_student_shapes.py"

train_cfg = dict(max_epochs=20, val_interval=20)
