"""Width scaling of detectors: the same modules with fewer channels, for trials on a CPU."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

DIVISOR = 4
"""Channels are divided by it; at 64 of 256, normalisation over 32 groups still has two a group."""

_PROBE_SIZE = 64


def scale_widths(config: ConfigDict) -> ConfigDict:
    """Scale the widths of a detector to a fraction, and thin out what repeats.

    Backbones without a setting for their width (VGG, Darknet) stay as they are,
    and so do necks and heads whose widths are tied to more than one setting,
    and a detector whose config gives its backbone a width of its own.

    Args:
        config: Model config of a detector, without weights to download.

    Returns:
        A new model config of the same modules.
    """
    config = copy.deepcopy(config)
    _shorten_transformer(config)
    # Libra R-CNN has two necks, one after the other.
    necks = config.get("neck")
    necks = list(necks) if isinstance(necks, list | tuple) else [necks]
    known = all(neck is not None and neck.type in _NECKS for neck in necks)
    if not known or "base_channels" in config.backbone:
        return config
    if config.backbone.type in _BACKBONES:
        _BACKBONES[config.backbone.type](config.backbone)
        _connect(necks[0], _channels_of(config.backbone))
    if all(_NECKS[neck.type] for neck in necks):
        own = necks[0].in_channels
        for part in (*necks, *(config[name] for name in _HEADS if name in config)):
            _divide_widths(part)
        necks[0].in_channels = own
    return config


def _scale_resnet(backbone: ConfigDict) -> None:
    # All deep variants share the block of depth 50, and so the widths of the stages.
    backbone.depth = min(backbone.depth, 50)
    backbone.base_channels = 64 // DIVISOR


def _scale_resnext(backbone: ConfigDict) -> None:
    _scale_resnet(backbone)
    backbone.groups //= 2 * DIVISOR


def _scale_swin(backbone: ConfigDict) -> None:
    heads = (1, 2, 4, 8)
    backbone.update(embed_dims=96 // DIVISOR, depths=(2, 2, 2, 2), num_heads=heads)


def _scale_csp(backbone: ConfigDict) -> None:
    backbone.widen_factor /= DIVISOR
    backbone.deepen_factor = min(backbone.deepen_factor, 0.33)


def _scale_mobilenet(backbone: ConfigDict) -> None:
    backbone.widen_factor = 1 / DIVISOR


_BACKBONES: dict[str, Callable[[ConfigDict], None]] = {
    "ResNet": _scale_resnet,
    "ResNeXt": _scale_resnext,
    "SwinTransformer": _scale_swin,
    "CSPDarknet": _scale_csp,
    "CSPNeXt": _scale_csp,
    "MobileNetV2": _scale_mobilenet,
}

_HEADS = ("rpn_head", "bbox_head", "roi_head", "mask_head")

_NECKS = {
    "FPN": True,
    "PAFPN": True,
    "BFP": True,
    "NASFCOS_FPN": True,
    "DilatedEncoder": True,
    "YOLOXPAFPN": True,
    "CSPNeXtPAFPN": True,
    "YOLOV3Neck": True,
    "ChannelMapper": False,
}
"""Necks that follow the backbone's widths, and whether their own can change with the heads'."""


def _divided(width: int | Sequence[int]) -> int | list[int]:
    return width // DIVISOR if isinstance(width, int) else [item // DIVISOR for item in width]


def _divide_widths(node: Any) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key.endswith(("_channels", "_channel")):
                node[key] = _divided(value)
            else:
                _divide_widths(value)
    elif isinstance(node, list | tuple):
        for item in node:
            _divide_widths(item)


def _connect(neck: ConfigDict, channels: list[int]) -> None:
    if isinstance(neck.in_channels, int):
        neck.in_channels = channels[-1]
        return
    # YOLOv3's neck lists the coarsest level first.
    coarse_first = neck.in_channels[0] > neck.in_channels[-1]
    neck.in_channels = channels[::-1] if coarse_first else channels


@torch.no_grad()
def _channels_of(backbone: ConfigDict) -> list[int]:
    built = MODELS.build(backbone)
    built.eval()
    return [level.shape[1] for level in built(torch.zeros(1, 3, _PROBE_SIZE, _PROBE_SIZE))]


def _shorten_transformer(config: ConfigDict) -> None:
    for part in ("encoder", "decoder"):
        if part in config:
            config[part].num_layers = min(config[part].num_layers, 2)
