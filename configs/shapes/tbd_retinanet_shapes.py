"""TBD on shapes: retinanet_student_shapes.py taught by retinanet_teacher_shapes.py, 10 epochs.

Needs the teacher's checkpoint: train retinanet_teacher_shapes.py first, or set
model.teacher_ckpt.
"""

_base_ = [
    "../_base_/tbd.py",
    "../_base_/datasets/shapes.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(
    student="{{ fileDirname }}/retinanet_student_shapes.py",
    teacher="{{ fileDirname }}/retinanet_teacher_shapes.py",
    teacher_ckpt="work_dirs/retinanet_teacher_shapes/epoch_20.pth",
    distill=dict(hd=dict(loss_weight=2.0), tfd=dict(loss_weight=0.5)),
)
train_cfg = dict(max_epochs=10, val_interval=10)
