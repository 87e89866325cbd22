"""A Hybrid Task Cascade on shapes, its semantic head trained by the Lovász softmax.

Needs nothing: the data set is written on first use, semantic maps are painted from its masks.
"""

_base_ = [
    "../_base_/models/htc_r18w16_fpn32.py",
    "../_base_/datasets/shapes_mask.py",
    "../_base_/schedule.py",
    "../_base_/runtime.py",
]

model = dict(
    roi_head=dict(
        bbox_head=dict(num_classes=5),
        mask_head=dict(num_classes=5),
        # Five shapes and the background.
        semantic_head=dict(
            num_classes=6,
            loss_seg=dict(
                _delete_=True, type="tbd.LovaszSoftmaxLoss", ignore_index=255, loss_weight=0.2
            ),
        ),
    )
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Resize", scale=(128, 128), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="tbd.SemanticMapFromMasks", background=5),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_epochs=6, val_interval=6)
