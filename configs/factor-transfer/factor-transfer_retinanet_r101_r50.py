"""RetinaNet by factor transfer on COCO, 24 epochs: ResNet-101 (38.9 AP, downloaded) teaches
ResNet-50 (37.4). In the first two epochs the paraphraser learns the teacher's features.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
The weight is not tuned on COCO.
"""

_base_ = "../tbd_retinanet_r101_r50.py"
model = dict(distill=dict(_delete_=True, ft=dict(type="tbd.FactorTransfer", loss_weight=1.0)))
custom_hooks = [dict(type="tbd.ParaphraserPhaseHook", epoch=2)]
