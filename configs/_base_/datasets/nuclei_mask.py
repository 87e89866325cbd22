"""The nuclei of nuclei.py with their outlines as masks, and mask AP beside box AP."""

_base_ = "nuclei.py"

data_root = "{{$TBD_DATA:data}}/nuclei/"

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="RandomResize", scale=[(256, 256), (384, 384)], keep_ratio=True),
    dict(
        type="RandomFlip", prob=[0.25, 0.25, 0.25], direction=["horizontal", "vertical", "diagonal"]
    ),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

val_evaluator = [
    dict(type="CocoMetric", ann_file=data_root + "annotations/val.json", metric=["bbox", "segm"])
]
test_evaluator = val_evaluator
