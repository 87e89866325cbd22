"""Backbones whose ImageNet weights torchvision publishes, in MMDetection's names."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from mmdet.models.backbones import MobileNetV2
from torch import Tensor

from tbd.compat import load_checkpoint
from tbd.files import replacing

_BACKBONE = "features."


def convert_mobilenet_v2(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name the weights of torchvision's MobileNetV2 as MMDetection's backbone does.

    Both list the same layers in the same order under other names, so that loading the one's file
    into the other, which MMEngine does not do strictly, would load nothing at all.

    Args:
        state_dict: Of ``torchvision.models.mobilenet_v2`` of width 1, with or without classifier.

    Returns:
        The same tensors under the keys of ``MobileNetV2(widen_factor=1.0)``, without classifier.

    Raises:
        ValueError: The weights are not those of that network.
    """
    source = {key: value for key, value in state_dict.items() if key.startswith(_BACKBONE)}
    target = MobileNetV2().state_dict()
    if len(source) != len(target):
        raise ValueError(
            f"not a checkpoint of torchvision's mobilenet_v2: {len(source)} of its "
            f"{len(state_dict)} tensors are named {_BACKBONE}*, MMDetection's MobileNetV2 has "
            f"{len(target)}."
        )
    pairs = list(zip(source.items(), target.items(), strict=True))
    for (old, value), (new, own) in pairs:
        if value.shape != own.shape or old.rpartition(".")[2] != new.rpartition(".")[2]:
            raise ValueError(
                "not a checkpoint of torchvision's mobilenet_v2 of width 1: "
                f"{old} {list(value.shape)} stands where MMDetection's MobileNetV2 has "
                f"{new} {list(own.shape)}."
            )
    return {new: value for (_, value), (new, _) in pairs}


def convert_mobilenet_v2_file(
    source: str | os.PathLike[str], target: str | os.PathLike[str]
) -> None:
    """Write a checkpoint for ``init_cfg=dict(type="Pretrained", checkpoint=…)`` of a backbone.

    Args:
        source: Path or URL of torchvision's ``mobilenet_v2`` checkpoint.
        target: File to write; its folder is made.

    Raises:
        ValueError: The source is not that checkpoint, see :func:`convert_mobilenet_v2`.
    """
    weights = convert_mobilenet_v2(load_checkpoint(source))
    with replacing(target) as path:
        torch.save({"state_dict": weights, "meta": {"source": str(Path(source).name)}}, path)
