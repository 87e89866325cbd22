"""PAA on COCO, 12 epochs: ResNet-101 (45.1 AP, downloaded) teaches ResNet-50 (40.4 AP).

PAA's own loss needs scikit-learn. Needs COCO in data/coco. The learning rate is for 8 GPUs × 2
images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::paa/paa_r50_fpn_1x_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::paa/paa_r101_fpn_ms-3x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/paa/"
    "paa_r101_fpn_mstrain_3x_coco/paa_r101_fpn_mstrain_3x_coco_20210122_084202-83250d22.pth",
    distill={{_base_.distillation.terms}},
)
