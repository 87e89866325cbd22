"""ATSS ResNet-101 (41.5 AP, downloaded) teaches FCOS ResNet-50 (36.6 AP), 12 epochs.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", "../_base_/distillation.py"]
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
