"""Aquarium, photographs of seven kinds of animals in COCO format: 392 + 123 images.

The longer side is seen at 320 pixels.

Looks for the set in aquarium/ under the folder that the environment variable TBD_DATA names (data/
without it).
"""

_base_ = "./small_coco.py"

data_root = "{{$TBD_DATA:data}}/aquarium/"
metainfo = dict(
    classes=("fish", "jellyfish", "penguin", "puffin", "shark", "starfish", "stingray"),
    palette=[
        (213, 94, 0),
        (0, 114, 178),
        (0, 158, 115),
        (230, 159, 0),
        (86, 180, 233),
        (204, 121, 167),
        (240, 228, 66),
    ],
)

train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type="CocoMetric", ann_file=data_root + "annotations/val.json", metric="bbox"),
    dict(type="tbd.HarmonyMetric"),
]
test_evaluator = val_evaluator
