"""GFL on COCO, 12 epochs: the features of DINOv2 teach ResNet-50.

The pair's teacher rests. The weight is not tuned on COCO. Needs COCO in data/coco and timm,
which downloads DINOv2's weights. The learning rate is for 8 GPUs × 2 images; --auto-scale-lr
adapts it.
"""

_base_ = "../tbd/tbd_gfl_r101_r50.py"
model = dict(
    distill=dict(
        _delete_=True,
        foundation=dict(
            type="tbd.FoundationFeatureDistillation",
            encoder=dict(type="timm", model="vit_small_patch14_dinov2.lvd142m", pretrained=True),
            loss_weight=1.0,
        ),
    )
)
