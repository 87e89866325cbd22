"""FCOS by DeFeat on COCO, 24 epochs: ResNet-101 (40.8 AP, downloaded) teaches ResNet-50 (38.5 AP).

With the weights for Faster R-CNN, not tuned for FCOS. Needs COCO in data/coco. The learning rate
is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd/tbd_fcos_r101_r50.py"
model = dict(
    distill=dict(
        _delete_=True, defeat=dict(type="tbd.FeatureImitation", region="decoupled", loss_weight=0.6)
    )
)
