"""TOOD on COCO, 12 epochs: ResNet-101 (46.1 AP, downloaded) teaches ResNet-50 (42.4 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::tood/tood_r50_fpn_1x_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::tood/tood_r101_fpn_ms-2x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/tood/"
    "tood_r101_fpn_mstrain_2x_coco/tood_r101_fpn_mstrain_2x_coco_20211210_144232-a18f53c8.pth",
    distill={{_base_.distillation.terms}},
)
