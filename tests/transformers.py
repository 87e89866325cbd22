"""DETR and its kin, small enough to train a step in a fraction of a second."""

from typing import Any

import tiny
from mmengine.config import ConfigDict

from tbd.detectors import resolve_model_config

CONFIGS = {
    "detr": "detr/detr_r50_8xb2-150e_coco.py",
    "conditional": "conditional_detr/conditional-detr_r50_8xb2-50e_coco.py",
    "dab": "dab_detr/dab-detr_r50_8xb2-50e_coco.py",
    "deformable": "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
    "deformable, refined": "deformable_detr/deformable-detr-refine_r50_16xb2-50e_coco.py",
    "deformable, two-stage": (
        "deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco.py"
    ),
    "dino": "dino/dino-4scale_r50_8xb2-12e_coco.py",
}
LAYERS = 2
QUERIES = 12
CLASSES = 3


def transformer(name: str, width: int = 4) -> ConfigDict:
    """MMDetection's detector on the tiny backbone, with two decoder layers and few queries."""
    options: dict[str, Any] = dict(
        num_queries=QUERIES,
        backbone=dict(_delete_=True, **tiny.backbone(width), **{}),
        encoder=dict(num_layers=1),
        decoder=dict(num_layers=LAYERS),
        bbox_head=dict(num_classes=CLASSES),
        test_cfg=dict(max_per_img=QUERIES),
    )
    model = resolve_model_config(f"mmdet::{CONFIGS[name]}", options)
    levels = len(model.neck.in_channels)
    stages = tuple(range(4 - levels, 4))
    model.backbone.out_indices = stages
    model.neck.in_channels = [width * 2**stage for stage in stages]
    return model
