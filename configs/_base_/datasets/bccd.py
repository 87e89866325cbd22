"""BCCD, blood cells in COCO format: 205 + 87 images, seen at 320×240.

Looks for the set in bccd/ under the folder that the environment variable TBD_DATA names (data/
without it).
"""

_base_ = "./small_coco.py"

data_root = "{{$TBD_DATA:data}}/bccd/"
metainfo = dict(
    classes=("RBC", "WBC", "Platelets"),
    palette=[(213, 94, 0), (0, 114, 178), (0, 158, 115)],
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomResize", scale=[(256, 192), (384, 288)], keep_ratio=True),
    dict(
        type="RandomFlip", prob=[0.25, 0.25, 0.25], direction=["horizontal", "vertical", "diagonal"]
    ),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(320, 240), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]

train_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type="CocoMetric", ann_file=data_root + "annotations/val.json", metric="bbox"),
    dict(type="tbd.HarmonyMetric"),
]
test_evaluator = val_evaluator
