"""DINO by FGFI on COCO, 12 epochs: Swin-L (57.2 AP, downloaded) teaches ResNet-50 (49.0 AP).

With the weight for Faster R-CNN, not tuned for DINO. Needs COCO in data/coco. The learning rate
is for 8 GPUs × 2 images; --auto-scale-lr adapts it.
"""

_base_ = "../pkd/pkd_dino_swin-l_r50.py"
model = dict(
    distill=dict(
        _delete_=True,
        fgfi=dict(
            type="tbd.FeatureImitation",
            region="near_objects",
            loss_weight=0.01,
            channel_reduction="sum",
        ),
    )
)
