"""FCOS by FitNets on COCO, 24 epochs: ResNet-101 (40.8 AP, downloaded) teaches ResNet-50 (38.5 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd/tbd_fcos_r101_r50.py"
model = dict(distill=dict(_delete_=True, fitnets=dict(type="tbd.FeatureImitation")))
