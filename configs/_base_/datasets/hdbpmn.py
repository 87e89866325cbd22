"""hdBPMN, hand-drawn process diagrams in COCO format: 211 + 67 images, seen at 400 pixels.

Looks for the set in hdbpmn/ under the folder that the environment variable TBD_DATA names (data/
without it).
"""

_base_ = "./small_coco.py"

data_root = "{{$TBD_DATA:data}}/hdbpmn/"
metainfo = dict(
    classes=(
        "task",
        "subprocess",
        "exclusive_gateway",
        "parallel_gateway",
        "event_gateway",
        "start_event",
        "intermediate_event",
        "end_event",
        "data_object",
        "data_store",
        "text_annotation",
        "pool",
        "lane",
    ),
    palette=[
        (213, 94, 0),
        (0, 114, 178),
        (0, 158, 115),
        (230, 159, 0),
        (86, 180, 233),
        (204, 121, 167),
        (240, 228, 66),
        (90, 90, 90),
        (128, 0, 128),
        (0, 90, 50),
        (160, 82, 45),
        (255, 99, 99),
        (60, 60, 180),
    ],
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomResize", scale=[(320, 320), (480, 480)], keep_ratio=True),
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
