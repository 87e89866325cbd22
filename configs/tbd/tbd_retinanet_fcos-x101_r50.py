"""FCOS ResNeXt-101 (42.6 AP, downloaded) teaches RetinaNet ResNet-50 (36.5 AP), 12 epochs.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::retinanet/retinanet_r50_fpn_1x_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::fcos/fcos_x101-64x4d_fpn_gn-head_ms-640-800-2x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/fcos/"
    "fcos_x101_64x4d_fpn_gn-head_mstrain_640-800_2x_coco/"
    "fcos_x101_64x4d_fpn_gn-head_mstrain_640-800_2x_coco-ede514a8.pth",
    distill={{_base_.distillation.terms}},
)
