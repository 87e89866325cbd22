"""Distillation of a student with a training recipe of its own by the features of DINOv2, small.

No teacher detector is needed. A config lists this file beside the recipe, as it would
distillation.py, and refers to ``{{_base_.foundation_terms}}``.
"""

_base_ = "distillation.py"

foundation_terms = dict(
    foundation=dict(
        type="tbd.FoundationFeatureDistillation",
        encoder=dict(type="timm", model="vit_small_patch14_dinov2.lvd142m", pretrained=True),
        loss_weight=1.0,
    ),
)
