"""FCOS on COCO, 24 epochs: ResNet-101 (40.8 AP, downloaded) teaches ResNet-50 (38.5 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = [
    "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_ms-640-800-2x_coco.py",
    "../_base_/distillation.py",
]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::fcos/fcos_r101-caffe_fpn_gn-head_ms-640-800-2x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/fcos/"
    "fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco/"
    "fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco-511424d6.pth",
    distill={{_base_.distillation.terms}},
)
