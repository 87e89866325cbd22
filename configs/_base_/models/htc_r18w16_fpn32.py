"""Mask R-CNN of mask-rcnn_r18w16_fpn32.py with a semantic head: a Hybrid Task Cascade of one stage.

The semantic head's features are added to those of boxes and masks.
"""

_base_ = "mask-rcnn_r18w16_fpn32.py"

model = dict(
    type="HybridTaskCascade",
    data_preprocessor=dict(pad_seg=True, seg_pad_value=255),
    roi_head=dict(
        type="HybridTaskCascadeRoIHead",
        num_stages=1,
        stage_loss_weights=[1.0],
        interleaved=False,
        mask_head=dict(type="HTCMaskHead", with_conv_res=False),
        semantic_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0),
            out_channels=32,
            featmap_strides=[4],
        ),
        semantic_head=dict(
            type="FusedSemanticHead",
            num_ins=4,
            fusion_level=0,
            seg_scale_factor=1 / 4,
            num_convs=2,
            in_channels=32,
            conv_out_channels=32,
            loss_seg=dict(type="CrossEntropyLoss", ignore_index=255, loss_weight=0.2),
        ),
    ),
    train_cfg=dict(rcnn=[{{_base_.model.train_cfg.rcnn}}]),
)
