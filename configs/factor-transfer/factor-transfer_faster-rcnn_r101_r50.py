"""Faster R-CNN by factor transfer on COCO, 24 epochs: ResNet-101 (39.8 AP, downloaded) teaches
ResNet-50. In the first two epochs the paraphraser learns the teacher's features.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
The weight is not tuned on COCO.
"""

_base_ = "../tbd/tbd_faster-rcnn_r101_r50.py"
model = dict(distill=dict(_delete_=True, ft=dict(type="tbd.FactorTransfer", loss_weight=1.0)))
custom_hooks = [dict(type="tbd.ParaphraserPhaseHook", epoch=2)]
