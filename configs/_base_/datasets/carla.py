"""CARLA, rendered street scenes in COCO format: 336 + 111 images, seen at 400×238.

Looks for the set in carla/ under the folder that the environment variable TBD_DATA names (data/
without it).
"""

_base_ = "./small_coco.py"

data_root = "{{$TBD_DATA:data}}/carla/"
metainfo = dict(
    classes=("vehicle", "bike", "motorbike", "traffic_light", "traffic_sign"),
    palette=[(213, 94, 0), (0, 114, 178), (0, 158, 115), (230, 159, 0), (86, 180, 233)],
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomResize", scale=[(320, 320), (480, 480)], keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(400, 400), keep_ratio=True),
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
