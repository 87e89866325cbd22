"""ATSS by PGD on COCO, 12 epochs: ResNet-101 (41.5 AP, downloaded) teaches ResNet-50 (39.4 AP).

Needs COCO in data/coco. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../tbd/tbd_atss_r101_r50.py"
model = dict(
    distill=dict(
        _delete_=True,
        pgd=dict(
            type="tbd.PredictionGuidedDistillation",
            cls_weight=0.08,
            background_weight=0.04,
            box_weight=0.128,
            top_k=9,
        ),
    )
)
