"""TBD on BCCD: faster-rcnn_student_bccd.py taught for 24 epochs.

Needs BCCD in COCO format, see ../_base_/datasets/bccd.py, and the teacher's checkpoint: train
faster-rcnn_teacher_bccd.py first, or set model.teacher_ckpt.
"""

_base_ = [
    "../_base_/tbd.py",
    "../_base_/datasets/bccd.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(
    student="{{ fileDirname }}/faster-rcnn_student_bccd.py",
    teacher="{{ fileDirname }}/faster-rcnn_teacher_bccd.py",
    teacher_ckpt="work_dirs/faster-rcnn_teacher_bccd/epoch_48.pth",
)
train_cfg = dict(max_epochs=24, val_interval=24)
