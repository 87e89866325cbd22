"""TBD on aquarium: retinanet-mbv2_student_aquarium.py taught for 12 epochs.

Needs what the student needs, and the teacher's checkpoint: train retinanet-mbv2_teacher_aquarium.py
first, or set model.teacher_ckpt.
"""

_base_ = [
    "../_base_/tbd.py",
    "../_base_/datasets/aquarium.py",
    "../_base_/schedule_pretrained.py",
    "../_base_/runtime.py",
]

model = dict(
    student="{{ fileDirname }}/retinanet-mbv2_student_aquarium.py",
    teacher="{{ fileDirname }}/retinanet-mbv2_teacher_aquarium.py",
    teacher_ckpt="work_dirs/retinanet-mbv2_teacher_aquarium/epoch_24.pth",
)
train_cfg = dict(max_epochs=12, val_interval=12)
