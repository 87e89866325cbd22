"""The generated shapes set with a long tail: 1000 training images, 100 circles to one cross.

The validation set is balanced, so that a rare class's AP is measured on as many boxes as a
frequent one's: about 140 each.
"""

_base_ = "shapes.py"

data_root = "data/shapes_lt/"

train_dataloader = dict(
    batch_size=8,
    dataset=dict(data_root=data_root, shapes=dict(num_images=1000, imbalance=100)),
)
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader

val_evaluator = [
    # 2325 circles, 793 squares | 270 triangles | 81 stars, 27 crosses.
    dict(
        type="tbd.LongTailCocoMetric",
        ann_file=data_root + "val/annotations.json",
        train_ann_file=data_root + "train/annotations.json",
        thresholds=(100, 500),
    ),
    dict(type="tbd.HarmonyMetric"),
]
test_evaluator = val_evaluator
