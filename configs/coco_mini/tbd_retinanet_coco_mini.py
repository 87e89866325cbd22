"""A smoke test on real COCO images: TBD.

Needs COCO mini, see ../_base_/datasets/coco_mini.py, and the teacher's checkpoint: train
retinanet_teacher_coco_mini.py first, or set model.teacher_ckpt.
"""

_base_ = [
    "../_base_/tbd.py",
    "../_base_/datasets/coco_mini.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(
    student="{{ fileDirname }}/retinanet_student_coco_mini.py",
    teacher="{{ fileDirname }}/retinanet_teacher_coco_mini.py",
    teacher_ckpt="work_dirs/retinanet_teacher_coco_mini/epoch_2.pth",
)
train_cfg = dict(max_epochs=2, val_interval=2)
