"""Faster R-CNN by class logits on COCO, 24 epochs: ResNet-101 teaches ResNet-50.

The term acts on the RPN, whose only class is the object. Needs COCO in data/coco. The learning
rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd/tbd_faster-rcnn_r101_r50.py"
model = dict(distill=dict(_delete_=True, logit=dict(type="tbd.LogitDistillation")))
