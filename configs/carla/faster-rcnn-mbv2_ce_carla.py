"""CARLA by a pretrained Faster R-CNN with cross entropy, 8 epochs: what the others compare to.

Needs CARLA in COCO format, see ../_base_/datasets/carla.py, and the backbone's weights, see
../_base_/models/retinanet_mobilenetv2_fpn128.py.
"""

_base_ = [
    "../_base_/models/faster-rcnn_mobilenetv2_fpn64.py",
    "../_base_/datasets/carla_lt.py",
    "../_base_/schedule_pretrained.py",
    "../_base_/runtime.py",
]

model = dict(
    # Half of the objects are smaller than 12 pixels.
    rpn_head=dict(anchor_generator=dict(scales=[2])),
    roi_head=dict(bbox_head=dict(num_classes=5)),
)
train_cfg = dict(max_epochs=8, val_interval=8)
