"""RetinaNet on COCO, 24 epochs: the features of DINOv2 teach ResNet-50; the pair's teacher rests.

Needs COCO in data/coco and timm, which downloads DINOv2's weights. The learning rate is
for 8 GPUs × 2 images; --auto-scale-lr adapts it. The weight is not tuned on COCO.
"""

_base_ = "../tbd_retinanet_r101_r50.py"
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
