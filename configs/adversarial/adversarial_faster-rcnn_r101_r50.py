"""Faster R-CNN by a discriminator of features on COCO, 24 epochs: ResNet-101 (39.8 AP, downloaded)
teaches ResNet-50.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
The weight is not tuned on COCO.
"""

_base_ = "../tbd/tbd_faster-rcnn_r101_r50.py"
model = dict(
    distill=dict(
        _delete_=True, adversarial=dict(type="tbd.AdversarialFeatureDistillation", loss_weight=1.0)
    )
)
