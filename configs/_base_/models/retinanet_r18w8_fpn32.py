"""The student of retinanet_r18w32_fpn64.py: a quarter of its width, half its FPN, one head conv."""

_base_ = "retinanet_r18w32_fpn64.py"

model = dict(
    backbone=dict(base_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=32),
    bbox_head=dict(in_channels=32, feat_channels=32, stacked_convs=1),
)
