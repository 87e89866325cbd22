"""CARLA of carla.py, measured by how often its classes occur in the training images too."""

_base_ = "carla.py"

data_root = "{{$TBD_DATA:data}}/carla/"

val_evaluator = [
    # 621 traffic lights, 538 vehicles | 58 bikes, 46 traffic signs, 40 motorbikes.
    dict(
        type="tbd.LongTailCocoMetric",
        ann_file=data_root + "annotations/val.json",
        train_ann_file=data_root + "annotations/train.json",
        thresholds=(100, 500),
    ),
    dict(type="tbd.HarmonyMetric"),
]
test_evaluator = val_evaluator
