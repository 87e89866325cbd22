"""Mask R-CNN for small images, from random weights: ResNet-18 of base width 16, FPN of 32."""

_base_ = "faster-rcnn_r18w8_fpn32.py"

model = dict(
    type="MaskRCNN",
    data_preprocessor=dict(pad_mask=True),
    backbone=dict(base_channels=16),
    neck=dict(in_channels=[16, 32, 64, 128]),
    roi_head=dict(
        mask_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0),
            out_channels=32,
            featmap_strides=[4, 8, 16, 32],
            finest_scale=28,
        ),
        mask_head=dict(
            type="FCNMaskHead",
            num_convs=2,
            in_channels=32,
            conv_out_channels=32,
            loss_mask=dict(type="CrossEntropyLoss", use_mask=True, loss_weight=1.0),
        ),
    ),
    train_cfg=dict(rcnn=dict(mask_size=28)),
    test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)),
)
