"""TBD on shapes, two-stage: faster-rcnn_student_shapes.py taught by faster-rcnn_teacher_shapes.py.

The student trains for 5 epochs, the teacher for 20.

Needs the teacher's checkpoint: train faster-rcnn_teacher_shapes.py first, or set
model.teacher_ckpt.
"""

_base_ = [
    "../_base_/tbd.py",
    "../_base_/datasets/shapes.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(
    student="{{ fileDirname }}/faster-rcnn_student_shapes.py",
    teacher="{{ fileDirname }}/faster-rcnn_teacher_shapes.py",
    teacher_ckpt="work_dirs/faster-rcnn_teacher_shapes/epoch_20.pth",
)
train_cfg = dict(max_epochs=5, val_interval=5)
