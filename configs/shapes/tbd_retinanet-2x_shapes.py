"""TBD on shapes for 20 epochs, twice the usual schedule.

Needs the teacher's checkpoint: see tbd_retinanet_shapes.py.
"""

_base_ = "tbd_retinanet_shapes.py"

model = dict(student="{{ fileDirname }}/retinanet-2x_student_shapes.py")
train_cfg = dict(max_epochs=20, val_interval=20)
