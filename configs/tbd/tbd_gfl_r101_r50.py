"""GFL on COCO, 12 epochs: ResNet-101 (44.7 AP, downloaded) teaches ResNet-50 (40.2 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::gfl/gfl_r50_fpn_1x_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::gfl/gfl_r101_fpn_ms-2x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/gfl/"
    "gfl_r101_fpn_mstrain_2x_coco/gfl_r101_fpn_mstrain_2x_coco_20200629_200126-dd12f847.pth",
    distill={{_base_.distillation.terms}},
)
