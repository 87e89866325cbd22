"""RetinaNet by QAD on COCO, 24 epochs: ResNet-101 (38.9 AP, downloaded) teaches ResNet-50 (37.4).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd_retinanet_r101_r50.py"
model = dict(distill=dict(_delete_=True, qad=dict(type="tbd.QualityAlignedDistillation")))
