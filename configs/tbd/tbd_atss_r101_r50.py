"""ATSS on COCO, 12 epochs: ResNet-101 (41.5 AP, downloaded) teaches ResNet-50 (39.4 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::atss/atss_r50_fpn_1x_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::atss/atss_r101_fpn_1x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/atss/atss_r101_fpn_1x_coco/"
    "atss_r101_fpn_1x_20200825-dfcadd6f.pth",
    distill={{_base_.distillation.terms}},
)
