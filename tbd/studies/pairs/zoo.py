"""The distillations whose compatibility is checked when none is named."""

import json
from pathlib import Path

from mmengine.config import ConfigDict

from tbd.detectors.model_config import WRAPPER_TYPES, resolve_model_config
from tbd.engine.config import load_config

OTHER_DETECTORS = (
    "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
    "mmdet::ghm/retinanet_r50_fpn_ghm-1x_coco.py",
    "mmdet::free_anchor/freeanchor_r50_fpn_1x_coco.py",
    "mmdet::fsaf/fsaf_r50_fpn_1x_coco.py",
    "mmdet::sabl/sabl-retinanet_r50_fpn_1x_coco.py",
    "mmdet::yolof/yolof_r50-c5_8xb8-1x_coco.py",
    "mmdet::ddod/ddod_r50_fpn_1x_coco.py",
    "mmdet::tood/tood_r50_fpn_anchor-based_1x_coco.py",
    "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    "mmdet::nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco.py",
    "mmdet::foveabox/fovea_r50_fpn_4xb4-1x_coco.py",
    "mmdet::autoassign/autoassign_r50-caffe_fpn_1x_coco.py",
    "mmdet::reppoints/reppoints-moment_r50_fpn_1x_coco.py",
    "mmdet::centernet/centernet-update_r50-caffe_fpn_ms-1x_coco.py",
    "mmdet::centernet/centernet_r18_8xb16-crop512-140e_coco.py",
    "mmdet::rtmdet/rtmdet-ins_s_8xb32-300e_coco.py",
    "mmdet::yolact/yolact_r50_8xb8-55e_coco.py",
    "mmdet::rpn/rpn_r50_fpn_1x_coco.py",
    "mmdet::libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py",
    "mmdet::dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py",
    "mmdet::double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py",
    "mmdet::grid_rcnn/grid-rcnn_r50_fpn_gn-head_1x_coco.py",
    "mmdet::sabl/sabl-faster-rcnn_r50_fpn_1x_coco.py",
    "mmdet::ms_rcnn/ms-rcnn_r50-caffe_fpn_1x_coco.py",
    "mmdet::point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py",
    "mmdet::htc/htc-without-semantic_r50_fpn_1x_coco.py",
    "mmdet::guided_anchoring/ga-retinanet_r50_fpn_1x_coco.py",
    "mmdet::cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py",
    "mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py",
    "mmdet::detr/detr_r50_8xb2-150e_coco.py",
    "mmdet::conditional_detr/conditional-detr_r50_8xb2-50e_coco.py",
    "mmdet::dab_detr/dab-detr_r50_8xb2-50e_coco.py",
    "mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
    "mmdet::ddq/ddq-detr-4scale_r50_8xb2-12e_coco.py",
)
"""One config of each family that no shipped config distills."""


_OF_TRAINING = ("distill", "auto_share", "teacher_ckpt")


def shipped_pairs(folder: str | Path) -> list[str]:
    """One distillation config of each pair in a folder and in those inside it but ``_base_``.

    Configs that differ in their terms, schedule or data alone are one pair, for which the one of
    the shortest name stands, TBD's where there is one. A pair is the student's and the teacher's
    model with all options.

    Args:
        folder: Folder of configs.

    Returns:
        Their paths, those at the top first.
    """

    def order(path: Path) -> tuple[int, bool]:
        return len(path.parts), not path.stem.startswith("tbd_")

    pairs: dict[str, list[Path]] = {}
    for path in Path(folder).rglob("*.py"):
        if "_base_" in path.parts:
            continue
        model = load_config(str(path)).model
        if model.type in WRAPPER_TYPES:
            pairs.setdefault(pair_key(model), []).append(path)
    shown = [
        min(paths, key=lambda path: (*order(path), len(path.stem), path))
        for paths in pairs.values()
    ]
    return [str(path) for path in sorted(shown, key=lambda path: (*order(path), path))]


def pair_key(model: ConfigDict) -> str:
    """What two distillations share whose detectors are the same.

    Args:
        model: The ``model`` of a distillation's config.
    """
    content = {k: v for k, v in model.to_dict().items() if k not in _OF_TRAINING}
    for name in ("student", "teacher"):
        if model.get(name) is not None:
            options = content.pop(f"{name}_options", None)
            content[name] = resolve_model_config(model[name], options, f"model.{name}").to_dict()
    return json.dumps(content, sort_keys=True, default=str)
