"""DINO by FitNets on COCO, 12 epochs: Swin-L (57.2 AP, downloaded) teaches ResNet-50 (49.0 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../pkd/pkd_dino_swin-l_r50.py"
model = dict(distill=dict(_delete_=True, fitnets=dict(type="tbd.FeatureImitation")))
