"""Layers that bring a student's features to the channels of the teacher's."""

from typing import Literal

from torch import nn

from tbd.checks import check_choice

AdaptationKind = Literal["auto", "conv1x1", "conv3x3", "conv3x3_relu", "identity"]


def build_adaptation(kind: AdaptationKind, in_channels: int, out_channels: int) -> nn.Module:
    """Build the adaptation layer of one pyramid level.

    Args:
        kind: ``"conv1x1"`` or ``"conv3x3"``: one convolution with bias;
            ``"conv3x3_relu"``: a ReLU after it, the layer of FGFI's public code,
            whose parameters load (``stu_feature_adap``);
            ``"identity"``: nothing; ``"auto"``: the identity where the channels
            agree, ``"conv1x1"`` where they do not.
        in_channels: Channels of the student's features.
        out_channels: Channels of the teacher's features.

    Returns:
        A module from [N, in_channels, H, W] to [N, out_channels, H, W].

    Raises:
        ValueError: if ``kind`` is unknown, or ``"identity"`` cannot be used.
    """
    check_choice(AdaptationKind, adaptation=kind)
    if kind == "identity" and in_channels != out_channels:
        raise ValueError(
            f"adaptation='identity' needs equal channels, but the student has {in_channels} and "
            f"the teacher {out_channels}; use adaptation='auto'."
        )
    if kind == "identity" or (kind == "auto" and in_channels == out_channels):
        return nn.Identity()
    if kind in ("conv3x3", "conv3x3_relu"):
        conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        return conv if kind == "conv3x3" else nn.Sequential(conv, nn.ReLU())
    return nn.Conv2d(in_channels, out_channels, kernel_size=1)
