"""Small detectors of every family that is exported, with random weights, and files of them."""

from typing import Any

import numpy as np
import tiny
import torch
import transformers
from dense_heads import CHANNELS, CLASSES, NARROW, NORM, NORMED_TOWER, TOWER
from mmdet.models.detectors.base import BaseDetector
from mmengine.config import ConfigDict

from tbd.detectors import build_detector, resolve_model_config
from tbd.engine.deployment import ImageInput, ModelInfo, OnnxDetector, OnnxOptions
from tbd.engine.deployment.export import make_model
from tbd.engine.deployment.graph import build_detections, build_graph

SIZE = (64, 96)
STRIDES = (8, 16, 32, 64, 128)
IMAGE = ImageInput(
    SIZE, SIZE, False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), swap_channels=True
)

# MMDetection's config, the options that make its head small, and the strides of its levels.
DENSE: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "retinanet": ("retinanet/retinanet_r50_fpn_1x_coco.py", TOWER, STRIDES),
    "fsaf": ("fsaf/fsaf_r50_fpn_1x_coco.py", TOWER, STRIDES),
    "sabl": ("sabl/sabl-retinanet_r50_fpn_1x_coco.py", TOWER, STRIDES),
    "yolof": ("yolof/yolof_r50-c5_8xb8-1x_coco.py", NARROW | dict(norm_cfg=NORM), (32,)),
    "ssd": (
        "ssd/ssd300_coco.py",
        dict(num_classes=CLASSES, in_channels=(CHANNELS,) * 6),
        (4, 8, 16, 32, 64, 128),
    ),
    "gfl": ("gfl/gfl_r50_fpn_1x_coco.py", NORMED_TOWER, STRIDES),
    "ddod": ("ddod/ddod_r50_fpn_1x_coco.py", NORMED_TOWER, STRIDES),
    "atss": ("atss/atss_r50_fpn_1x_coco.py", NORMED_TOWER, STRIDES),
    "paa": ("paa/paa_r50_fpn_1x_coco.py", NORMED_TOWER, STRIDES),
    "tood": ("tood/tood_r50_fpn_1x_coco.py", NORMED_TOWER, STRIDES),
    "fcos": (
        "fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
        NORMED_TOWER,
        STRIDES,
    ),
    "fovea": ("foveabox/fovea_r50_fpn_4xb4-1x_coco.py", TOWER, STRIDES),
    "autoassign": ("autoassign/autoassign_r50-caffe_fpn_1x_coco.py", NORMED_TOWER, STRIDES),
    "vfnet": ("vfnet/vfnet_r50_fpn_1x_coco.py", NORMED_TOWER, STRIDES),
    "reppoints": (
        "reppoints/reppoints-moment_r50_fpn_1x_coco.py",
        NORMED_TOWER | dict(point_feat_channels=CHANNELS),
        STRIDES,
    ),
    "centernet": (
        "centernet/centernet_r18_8xb16-crop512-140e_coco.py",
        NARROW | dict(feat_channels=CHANNELS),
        (4,),
    ),
    "centernet update": (
        "centernet/centernet-update_r50-caffe_fpn_ms-1x_coco.py",
        NORMED_TOWER,
        STRIDES,
    ),
    "rtmdet": ("rtmdet/rtmdet_l_8xb32-300e_coco.py", NORMED_TOWER, (8, 16, 32)),
    "yolact": (
        "yolact/yolact_r50_1xb8-55e_coco.py",
        NARROW | dict(feat_channels=CHANNELS, num_protos=5),
        STRIDES,
    ),
    "yolox": ("yolox/yolox_s_8xb8-300e_coco.py", NORMED_TOWER, (8, 16, 32)),
}


def dense_detector(name: str) -> BaseDetector:
    """A one-stage detector with the tiny backbone and a head of MMDetection's."""
    path, changes, strides = DENSE[name]
    full = resolve_model_config(f"mmdet::{path}")
    start = int(np.log2(strides[0])) - 2
    return build(
        dict(
            type="SingleStageDetector",
            data_preprocessor=tiny.preprocessor(),
            backbone=tiny.backbone(),
            neck=tiny.fpn(
                4,
                CHANNELS,
                start_level=start,
                end_level=min(start + len(strides), 4) - 1,
                num_outs=len(strides),
                add_extra_convs="on_output",
            ),
            bbox_head=dict(full.bbox_head) | changes,
            test_cfg=full.test_cfg,
        )
    )


def two_stage_detector() -> BaseDetector:
    """Faster R-CNN."""
    return build(tiny.faster_rcnn())


def query_detector(name: str) -> BaseDetector:
    """DETR or one of its kin."""
    return build(transformers.transformer(name))


def build(model: Any) -> BaseDetector:
    """Build a detector; the weights are those before initialisation, which predict something."""
    torch.manual_seed(0)
    return build_detector(ConfigDict(model)).eval()


def exported(detector: BaseDetector, image: ImageInput = IMAGE, **options: Any) -> OnnxDetector:
    """Export a detector and let onnxruntime load it."""
    return OnnxDetector(exported_bytes(detector, image, **options))


def exported_bytes(detector: BaseDetector, image: ImageInput = IMAGE, **options: Any) -> bytes:
    """Export a detector."""
    how = OnnxOptions(**options)
    graph = build_graph(detector)
    limits = build_detections(graph).limits if how.end_to_end else graph.limits
    info = ModelInfo(
        type(detector).__name__,
        "tiny",
        ("bar", "square", "tile"),
        image,
        limits,
        how.end_to_end,
        "float16" if how.half else "float32",
        "0",
    )
    return make_model(detector, info, how)


def noise(count: int = 2, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Images that are resized and padded, of whole numbers."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*size, 3)).astype(np.float32) for _ in range(count)]
