"""Heads of MMDetection's own configs, narrow enough for a CPU, with input and output for them."""

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.hub import get_config

CLASSES = 3
CHANNELS = 8
NORM = dict(type="GN", num_groups=2)
NARROW = dict(num_classes=CLASSES, in_channels=CHANNELS)
TOWER = NARROW | dict(feat_channels=CHANNELS, stacked_convs=1)
NORMED_TOWER = TOWER | dict(norm_cfg=NORM)


def build_head(config: str, name: str = "bbox_head", **changes: Any) -> BaseDenseHead:
    """Build the dense head of one of MMDetection's configs, some of its options changed.

    Args:
        config: Path of the config in MMDetection, such as ``"gfl/gfl_r50_fpn_1x_coco.py"``.
        name: The detector's attribute.
        changes: Options of the head that replace those of the config.
    """
    torch.manual_seed(0)
    model = copy.deepcopy(_model(config))
    head = MODELS.build(dict(model[name]) | dict(test_cfg=model.test_cfg) | changes)
    return head.eval()


@cache
def _model(config: str) -> ConfigDict:
    return get_config(f"mmdet::{config}").model


def head_inputs(
    head: BaseDenseHead, strides: Sequence[float], size: int
) -> tuple[torch.Tensor, ...]:
    """Random features of two square images for each level of a head."""
    generator = torch.Generator().manual_seed(1)
    channels = head.in_channels
    if isinstance(channels, int):
        channels = [channels] * len(strides)
    return tuple(
        torch.randn(2, width, max(round(size / s), 1), max(round(size / s), 1), generator=generator)
        for s, width in zip(strides, channels, strict=True)
    )


def random_output(output: Any, *scales: float) -> tuple[Any, ...]:
    """Random numbers in the form of a head's output, of one scale for each of its items.

    Fresh weights predict nearly the same everywhere, which would hide a
    prediction that is read from the wrong place.
    """
    generator = torch.Generator().manual_seed(2)

    def like(item: Any, scale: float) -> Any:
        if isinstance(item, torch.Tensor):
            return torch.randn(item.shape, generator=generator) * scale
        return [like(part, scale) for part in item]

    return tuple(like(item, scale) for item, scale in zip(output, scales, strict=True))
