"""Faster R-CNN by LD on COCO, 24 epochs: ResNet-101 (39.8 AP, downloaded) teaches ResNet-50.

The term acts on the RPN and compares boxes by their generalized IoU. Needs COCO in data/coco.
The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd/tbd_faster-rcnn_r101_r50.py"
model = dict(distill=dict(_delete_=True, ld=dict(type="tbd.LocalizationDistillation")))
