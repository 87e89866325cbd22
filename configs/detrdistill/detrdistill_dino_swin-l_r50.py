"""DINO by DETRDistill on COCO, 12 epochs: Swin-L (57.2 AP, downloaded) teaches ResNet-50 (49.0).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../pkd/pkd_dino_swin-l_r50.py"
model = dict(
    distill=dict(
        _delete_=True,
        # Negatives, of 900 queries in 6 layers, take over a second per step to match on a CPU.
        detrdistill=dict(type="tbd.QueryDistillation", negative_weight=0.0),
    )
)
