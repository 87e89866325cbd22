"""RetinaNet on COCO, 24 epochs: ResNet-101 (38.9 AP, downloaded) teaches ResNet-50 (37.4 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::retinanet/retinanet_r50_fpn_2x_coco.py", "_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::retinanet/retinanet_r101_fpn_2x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/retinanet/"
    "retinanet_r101_fpn_2x_coco/retinanet_r101_fpn_2x_coco_20200131-5560aee8.pth",
    distill={{_base_.distillation.terms}},
)
