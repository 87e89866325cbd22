"""TBD on shapes by a better teacher: tbd_retinanet_shapes.py with one trained for 60 epochs.

Needs the teacher's checkpoint: train retinanet-3x_teacher_shapes.py first, or set
model.teacher_ckpt.
"""

_base_ = "tbd_retinanet_shapes.py"

model = dict(
    teacher="{{ fileDirname }}/retinanet-3x_teacher_shapes.py",
    teacher_ckpt="work_dirs/retinanet-3x_teacher_shapes/epoch_60.pth",
)
