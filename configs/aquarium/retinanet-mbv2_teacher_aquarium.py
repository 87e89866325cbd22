"""The pretrained teacher on aquarium: a RetinaNet with MobileNetV2, 24 epochs.

Needs the aquarium set in COCO format, see ../_base_/datasets/aquarium.py, and the backbone's
weights, see ../_base_/models/retinanet_mobilenetv2_fpn128.py.
"""

_base_ = [
    "../_base_/models/retinanet_mobilenetv2_fpn128.py",
    "../_base_/datasets/aquarium.py",
    "../_base_/schedule_pretrained.py",
    "../_base_/runtime.py",
]

model = dict(bbox_head=dict(num_classes=7))
train_cfg = dict(max_epochs=24, val_interval=24)
