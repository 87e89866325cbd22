"""RetinaNet by FGD on COCO, 24 epochs: ResNeXt-101 (40.8 AP, downloaded) teaches ResNet-50 (37.4).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd/tbd_retinanet_x101_r50.py"
model = dict(distill=dict(_delete_=True, fgd=dict(type="tbd.FocalGlobalDistillation")))
