"""The student of faster-rcnn_r18w32_fpn64.py: a quarter of its width, half of its FPN and head."""

_base_ = "faster-rcnn_r18w32_fpn64.py"

model = dict(
    backbone=dict(base_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(in_channels=32, fc_out_channels=128),
    ),
)
