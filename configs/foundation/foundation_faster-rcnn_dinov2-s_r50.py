"""Faster R-CNN on COCO, 24 epochs: features of DINOv2 teach ResNet-50, without a teacher detector.

Needs COCO in data/coco and timm, which downloads DINOv2's weights. The learning rate is for
8 GPUs × 2 images; --auto-scale-lr adapts it. The weight is not tuned on COCO.
"""

_base_ = ["mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py", "../_base_/foundation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher=None,
    distill={{_base_.foundation_terms}},
)
