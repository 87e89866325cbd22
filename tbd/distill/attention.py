"""Attention maps: where, and in which channels, features are strong."""

from torch import Tensor


def spatial_attention(features: Tensor, temperature: float) -> Tensor:
    """H·W · softmax over locations of the mean absolute value over channels, divided by T.

    Args:
        features: [N, C, H, W].
        temperature: The T, positive; the larger, the more even the attention.

    Returns:
        [N, H, W], positive, of mean 1 over the locations of an image.
    """
    strength = features.abs().mean(dim=1).flatten(1)
    attention = strength.shape[1] * (strength / temperature).softmax(dim=1)
    return attention.unflatten(1, features.shape[2:])


def channel_attention(features: Tensor, temperature: float) -> Tensor:
    """C · softmax over channels of the mean absolute value over locations, divided by T.

    Args:
        features: [N, C, H, W].
        temperature: The T, positive.

    Returns:
        [N, C], positive, of mean 1 over the channels of an image.
    """
    strength = features.abs().mean(dim=(2, 3))
    return strength.shape[1] * (strength / temperature).softmax(dim=1)


def local_channel_attention(features: Tensor, temperature: float) -> Tensor:
    """C · softmax over channels of the absolute value at each location, divided by T.

    Args:
        features: [N, C, H, W].
        temperature: The T, positive.

    Returns:
        [N, C, H, W], positive, of mean 1 over the channels of a location.
    """
    return features.shape[1] * (features.abs() / temperature).softmax(dim=1)
