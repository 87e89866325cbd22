"""Mask R-CNN on COCO, 24 epochs: ResNet-101 (40.8 box AP, downloaded) teaches ResNet-50 (39.2).

The terms act on the neck and on the RPN, which is a one-stage head. Needs COCO in data/coco. The
learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = ["mmdet::mask_rcnn/mask-rcnn_r50_fpn_2x_coco.py", "../_base_/distillation.py"]
default_hooks = {{_base_.distillation.hooks}}
model = dict(
    _delete_=True,
    type="tbd.TeacherStudentDetector",
    student={{_base_.model}},
    teacher="mmdet::mask_rcnn/mask-rcnn_r101_fpn_2x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/"
    "mask_rcnn_r101_fpn_2x_coco/"
    "mask_rcnn_r101_fpn_2x_coco_bbox_mAP-0.408__segm_mAP-0.366_20200505_071027-14b391c7.pth",
    distill={{_base_.distillation.terms}},
)
