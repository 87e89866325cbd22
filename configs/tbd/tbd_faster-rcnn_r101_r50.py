"""Faster R-CNN on COCO, 24 epochs: ResNet-101 (39.8 AP, downloaded) teaches ResNet-50 (38.4 AP).

The terms act on the neck and on the RPN, which is a one-stage head. Needs COCO in data/coco. The
learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::faster_rcnn/faster-rcnn_r101_fpn_2x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/"
    "faster_rcnn_r101_fpn_2x_coco/"
    "faster_rcnn_r101_fpn_2x_coco_bbox_mAP-0.398_20200504_210455-1d2dac9c.pth",
    distill={{_base_.distillation.terms}},
)
