"""The generated shapes set with the shapes' outlines as masks, and mask AP beside box AP."""

_base_ = "shapes.py"

data_root = "data/shapes/"

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Resize", scale=(128, 128), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

val_evaluator = [
    dict(type="CocoMetric", ann_file=data_root + "val/annotations.json", metric=["bbox", "segm"])
]
test_evaluator = val_evaluator
