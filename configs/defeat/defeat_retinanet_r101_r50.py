"""RetinaNet by DeFeat on COCO, 24 epochs: ResNet-101 (38.9 AP, downloaded) teaches ResNet-50.

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd_retinanet_r101_r50.py"
model = dict(
    distill=dict(
        _delete_=True, defeat=dict(type="tbd.FeatureImitation", region="decoupled", loss_weight=0.6)
    )
)
