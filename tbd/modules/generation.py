"""Block that generates a teacher's features from a student's masked ones."""

from torch import nn


def build_generation(channels: int) -> nn.Sequential:
    """Build convolution 3×3, ReLU, convolution 3×3, all of one width.

    Args:
        channels: Channels of the teacher's features.

    Returns:
        A module from [N, channels, H, W] to the same shape.
    """
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, kernel_size=3, padding=1),
    )
