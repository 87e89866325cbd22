"""Faster R-CNN on COCO, 24 epochs: ResNet-101 (39.8 AP, downloaded) teaches ResNet-50 (38.4 AP).

The terms act on the neck and on the RPN, which is a one-stage head. Needs COCO in data/coco.
The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = ["./_base_/coco_2x.py", "./_base_/tbd.py"]
model = dict(
    student="mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py",
    teacher="mmdet::faster_rcnn/faster-rcnn_r101_fpn_2x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/"
    "faster_rcnn_r101_fpn_2x_coco/"
    "faster_rcnn_r101_fpn_2x_coco_bbox_mAP-0.398_20200504_210455-1d2dac9c.pth",
)
