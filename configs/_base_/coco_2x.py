"""COCO detection, 24 epochs, batch 16 (8 GPUs × 2 images; see --auto-scale-lr for others)."""

_base_ = [
    "mmdet::_base_/datasets/coco_detection.py",
    "mmdet::_base_/schedules/schedule_2x.py",
    "./runtime.py",
]
