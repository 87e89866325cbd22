"""Cascade R-CNN on COCO, 20 epochs: ResNet-101 (42.5 AP, downloaded) teaches ResNet-50 (41.0).

The terms act on the neck and on the RPN, which is a one-stage head. Needs COCO in data/coco. The
learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_20e_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::cascade_rcnn/cascade-rcnn_r101_fpn_20e_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/"
    "cascade_rcnn_r101_fpn_20e_coco/"
    "cascade_rcnn_r101_fpn_20e_coco_bbox_mAP-0.425_20200504_231812-5057dcc5.pth",
    distill={{_base_.distillation.terms}},
)
