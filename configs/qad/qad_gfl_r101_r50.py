"""GFL by QAD on COCO, 12 epochs: ResNet-101 (44.7 AP, downloaded) teaches ResNet-50 (40.2 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd/tbd_gfl_r101_r50.py"
model = dict(distill=dict(_delete_=True, qad=dict(type="tbd.QualityAlignedDistillation")))
