"""Detectors small enough to train a step in a fraction of a second, and data for them."""

from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

NORM = dict(type="GN", num_groups=2, requires_grad=True)


def preprocessor(**options: Any) -> dict[str, Any]:
    return (
        dict(
            type="DetDataPreprocessor",
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            pad_size_divisor=32,
        )
        | options
    )


def backbone(width: int = 4) -> dict[str, Any]:
    return dict(
        type="ResNet",
        depth=18,
        num_stages=4,
        base_channels=width,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=NORM,
        norm_eval=False,
        init_cfg=None,
    )


def fpn(width: int, channels: int, **options: Any) -> dict[str, Any]:
    return (
        dict(
            type="FPN",
            in_channels=[width, 2 * width, 4 * width, 8 * width],
            out_channels=channels,
            num_outs=3,
            start_level=1,
        )
        | options
    )


def retinanet(width: int = 4, channels: int = 8, classes: int = 3, **head: Any) -> dict[str, Any]:
    anchors = dict(
        type="AnchorGenerator",
        octave_base_scale=4,
        scales_per_octave=2,
        ratios=[1.0],
        strides=[8, 16, 32],
    )
    return dict(
        type="RetinaNet",
        data_preprocessor=preprocessor(),
        backbone=backbone(width),
        neck=fpn(width, channels),
        bbox_head=dict(
            type="RetinaHead",
            num_classes=classes,
            in_channels=channels,
            feat_channels=channels,
            stacked_convs=1,
            anchor_generator=anchors,
            bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
            loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25),
            loss_bbox=dict(type="L1Loss"),
        )
        | head,
        train_cfg=dict(
            assigner=dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0),
            sampler=dict(type="PseudoSampler"),
            allowed_border=-1,
            pos_weight=-1,
        ),
        test_cfg=dict(
            nms_pre=100,
            min_bbox_size=0,
            score_thr=0.0,
            nms=dict(type="nms", iou_threshold=0.5),
            max_per_img=10,
        ),
    )


def gfl(width: int = 4, channels: int = 8, classes: int = 3, **head: Any) -> dict[str, Any]:
    """Box sides as distributions over 9 bins, one square anchor per location."""
    anchors = dict(
        type="AnchorGenerator",
        ratios=[1.0],
        octave_base_scale=8,
        scales_per_octave=1,
        strides=[8, 16, 32],
    )
    config = retinanet(width, channels, classes)
    return config | dict(
        type="GFL",
        bbox_head=dict(
            type="GFLHead",
            num_classes=classes,
            in_channels=channels,
            feat_channels=channels,
            stacked_convs=2,
            norm_cfg=NORM,
            reg_max=8,
            anchor_generator=anchors,
            loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True, beta=2.0),
            loss_dfl=dict(type="DistributionFocalLoss", loss_weight=0.25),
            loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
        )
        | head,
        train_cfg=dict(
            assigner=dict(type="ATSSAssigner", topk=9), allowed_border=-1, pos_weight=-1
        ),
    )


def fcos(width: int = 4, channels: int = 8, classes: int = 3, **head: Any) -> dict[str, Any]:
    config = retinanet(width, channels, classes)
    return config | dict(
        type="FCOS",
        bbox_head=dict(
            type="FCOSHead",
            num_classes=classes,
            in_channels=channels,
            feat_channels=channels,
            stacked_convs=2,
            norm_cfg=NORM,
            strides=[8, 16, 32],
            regress_ranges=((-1, 64), (64, 128), (128, 1e8)),
            loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25),
            loss_bbox=dict(type="IoULoss"),
            loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True),
        )
        | head,
        train_cfg=None,
    )


def faster_rcnn(width: int = 4, channels: int = 8, classes: int = 3) -> dict[str, Any]:
    assigner = dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0)
    sampler = dict(type="RandomSampler", num=16, pos_fraction=0.5, neg_pos_ub=-1)
    proposals = dict(nms_pre=50, max_per_img=20, nms=dict(type="nms", iou_threshold=0.7))
    proposals["min_bbox_size"] = 0
    return dict(
        type="FasterRCNN",
        data_preprocessor=preprocessor(),
        backbone=backbone(width),
        neck=fpn(width, channels, start_level=0, num_outs=4),
        rpn_head=dict(
            type="RPNHead",
            in_channels=channels,
            feat_channels=channels,
            anchor_generator=dict(
                type="AnchorGenerator", scales=[4], ratios=[0.5, 1.0], strides=[4, 8, 16, 32]
            ),
            bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
            loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True),
            loss_bbox=dict(type="L1Loss"),
        ),
        roi_head=dict(
            type="StandardRoIHead",
            bbox_roi_extractor=dict(
                type="SingleRoIExtractor",
                roi_layer=dict(type="RoIAlign", output_size=3, sampling_ratio=0),
                out_channels=channels,
                featmap_strides=[4, 8, 16],
            ),
            bbox_head=dict(
                type="Shared2FCBBoxHead",
                in_channels=channels,
                fc_out_channels=16,
                roi_feat_size=3,
                num_classes=classes,
                bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
                reg_class_agnostic=False,
                loss_cls=dict(type="CrossEntropyLoss"),
                loss_bbox=dict(type="L1Loss"),
            ),
        ),
        train_cfg=dict(
            rpn=dict(
                assigner=assigner,
                sampler=sampler | dict(add_gt_as_proposals=False),
                allowed_border=-1,
                pos_weight=-1,
            ),
            rpn_proposal=proposals,
            rcnn=dict(assigner=assigner, sampler=sampler, pos_weight=-1),
        ),
        test_cfg=dict(
            rpn=proposals,
            rcnn=dict(score_thr=0.0, nms=dict(type="nms", iou_threshold=0.5), max_per_img=10),
        ),
    )


def cascade_rcnn(width: int = 4, channels: int = 8, classes: int = 3) -> dict[str, Any]:
    """Two stages, the second with finer deltas, boxes shared by all classes."""
    config = faster_rcnn(width, channels, classes)
    roi_head = config["roi_head"]
    heads = [
        roi_head["bbox_head"]
        | dict(
            reg_class_agnostic=True,
            bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_stds=[std, std, 2 * std, 2 * std]),
        )
        for std in (0.1, 0.05)
    ]
    rcnn = config["train_cfg"]["rcnn"]
    return config | dict(
        type="CascadeRCNN",
        roi_head=dict(
            type="CascadeRoIHead",
            num_stages=2,
            stage_loss_weights=[1, 0.5],
            bbox_roi_extractor=roi_head["bbox_roi_extractor"],
            bbox_head=heads,
        ),
        train_cfg=config["train_cfg"] | dict(rcnn=[rcnn, rcnn]),
    )


def wrapper(**options: Any) -> dict[str, Any]:
    """A TBD wrapper around two tiny RetinaNets with a random teacher."""
    return (
        dict(
            type="tbd.TeacherStudentDetector",
            student=retinanet(),
            teacher=retinanet(width=8, channels=16),
            allow_random_teacher=True,
            probe_size=64,
            distill=dict(
                hd=dict(type="tbd.HarmonyDistillation"),
                tfd=dict(type="tbd.TaskDecoupledFeatureDistillation"),
            ),
        )
        | options
    )


def samples(sizes: list[tuple[int, int]] | None = None, boxes: int = 3) -> list[dict[str, Any]]:
    """Unbatched data as a dataset yields it: random images with random boxes."""
    generator = torch.Generator().manual_seed(0)
    result = []
    for height, width in sizes or [(64, 64), (64, 64)]:
        image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
        low = torch.rand(boxes, 2, generator=generator) * 30
        extent = 12 + torch.rand(boxes, 2, generator=generator) * 20
        instances = InstanceData(
            bboxes=torch.cat([low, low + extent], dim=1),
            labels=torch.randint(0, 3, (boxes,), generator=generator),
        )
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(height, width),
                ori_shape=(height, width),
                scale_factor=(1.0, 1.0),
                img_path=f"image_{len(result)}.jpg",
            ),
            gt_instances=instances,
            ignored_instances=InstanceData(bboxes=torch.empty(0, 4), labels=torch.empty(0)),
        )
        result.append(dict(inputs=image, data_samples=sample))
    return result


def batch(model: torch.nn.Module, **options: Any) -> dict[str, Any]:
    """The data of :func:`samples`, collated and preprocessed by the model."""
    data = samples(**options)
    collated = dict(
        inputs=[item["inputs"] for item in data],
        data_samples=[item["data_samples"] for item in data],
    )
    return model.data_preprocessor(collated, training=True)
