"""Cell nuclei in micrographs, COCO format: 250 + 84 images.

The longer side is seen at 320 pixels.

Looks for the set in nuclei/ under the folder that the environment variable TBD_DATA names (data/
without it).
"""

_base_ = "./small_coco.py"

data_root = "{{$TBD_DATA:data}}/nuclei/"
metainfo = dict(
    classes=("nucleus",),
    palette=[(213, 94, 0)],
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomResize", scale=[(256, 256), (384, 384)], keep_ratio=True),
    dict(
        type="RandomFlip", prob=[0.25, 0.25, 0.25], direction=["horizontal", "vertical", "diagonal"]
    ),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type="CocoMetric", ann_file=data_root + "annotations/val.json", metric="bbox"),
    dict(type="tbd.HarmonyMetric"),
]
test_evaluator = val_evaluator
