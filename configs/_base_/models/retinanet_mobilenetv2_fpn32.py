"""The student of retinanet_mobilenetv2_fpn128.py: a quarter of its FPN and head, one head conv.

Needs the same weights.
"""

_base_ = "retinanet_mobilenetv2_fpn128.py"

model = dict(
    neck=dict(out_channels=32),
    bbox_head=dict(in_channels=32, feat_channels=32, stacked_convs=1),
)
