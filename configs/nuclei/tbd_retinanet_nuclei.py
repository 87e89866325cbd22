"""TBD on nuclei: retinanet_student_nuclei.py taught for 24 epochs.

Needs the nuclei in COCO format, see ../_base_/datasets/nuclei.py, and the teacher's checkpoint:
train retinanet_teacher_nuclei.py first, or set model.teacher_ckpt.
"""

_base_ = [
    "../_base_/tbd.py",
    "../_base_/datasets/nuclei.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(
    student="{{ fileDirname }}/retinanet_student_nuclei.py",
    teacher="{{ fileDirname }}/retinanet_teacher_nuclei.py",
    teacher_ckpt="work_dirs/retinanet_teacher_nuclei/epoch_48.pth",
)
train_cfg = dict(max_epochs=24, val_interval=24)
