"""TBD on shapes for 40 epochs, four times the usual schedule.

Needs the teacher's checkpoint: see tbd_retinanet_shapes.py.
"""

_base_ = "tbd_retinanet_shapes.py"

model = dict(student="{{ fileDirname }}/retinanet-4x_student_shapes.py")
train_cfg = dict(max_epochs=40, val_interval=40)
