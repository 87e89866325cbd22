"""COCO mini, the first 128 images of COCO's train2017 and val2017, seen at 320 pixels.

In the layout of COCO itself, in coco_mini/ under the folder that the environment variable TBD_DATA
names (data/ without it). Enough to see that all 80 classes and a real layout work, too little to
learn from.
"""

_base_ = "./small_coco.py"

data_root = "{{$TBD_DATA:data}}/coco_mini/"

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(320, 320), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file="annotations/instances_train2017.json",
        data_prefix=dict(img="train2017/"),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file="annotations/instances_val2017.json",
        data_prefix=dict(img="val2017/"),
    )
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type="CocoMetric", ann_file=data_root + "annotations/instances_val2017.json", metric="bbox"
    ),
    dict(type="tbd.HarmonyMetric"),
]
test_evaluator = val_evaluator
