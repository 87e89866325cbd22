"""Projector from a student's to a teacher's features, with a nonlinearity."""

from torch import nn


def build_projector(in_channels: int, out_channels: int) -> nn.Sequential:
    """Build convolution 1×1, ReLU, convolution 1×1, the hidden width being the teacher's.

    Args:
        in_channels: Channels of the student's features.
        out_channels: Channels of the teacher's features.

    Returns:
        A module from [N, in_channels, H, W] to [N, out_channels, H, W].
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, kernel_size=1),
    )
