"""The pairs of networks of generative adversarial networks."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from tbd.generative.fully_connected import fully_connected
from tbd.registry import MODELS

_leaky_relu = partial(nn.LeakyReLU, 0.2)


@MODELS.register_module()
class FullyConnectedGenerator(nn.Sequential):
    """Linear layers with ReLU from noise to an image, tanh at the end.

    Args:
        noise_size: Length of the noise.
        image_shape: Channels, height and width of the images.
        hidden_sizes: Widths between.
        batch_norm: Whether to normalise before each ReLU. It keeps the images of a batch apart
            where a discriminator that wins would let them become one.
    """

    def __init__(
        self,
        noise_size: int = 96,
        image_shape: Sequence[int] = (1, 28, 28),
        hidden_sizes: Sequence[int] = (1024, 1024),
        batch_norm: bool = False,
    ) -> None:
        sizes = (noise_size, *hidden_sizes, math.prod(image_shape))
        super().__init__(
            fully_connected(sizes, batch_norm=batch_norm),
            nn.Tanh(),
            nn.Unflatten(1, tuple(image_shape)),
        )


@MODELS.register_module()
class FullyConnectedDiscriminator(nn.Sequential):
    """Linear layers with leaky ReLU (0.2) from an image to one logit.

    Args:
        image_shape: Channels, height and width of the images.
        hidden_sizes: Widths between.
    """

    def __init__(
        self, image_shape: Sequence[int] = (1, 28, 28), hidden_sizes: Sequence[int] = (256, 256)
    ) -> None:
        super().__init__(
            nn.Flatten(), fully_connected((math.prod(image_shape), *hidden_sizes, 1), _leaky_relu)
        )


@MODELS.register_module()
class ConvGenerator(nn.Sequential):
    """Two linear layers to a map of a quarter of the image's size, two transposed convolutions.

    Batch norm and ReLU after all layers but the last, and initial weights of N(0, 0.02²), after
    Radford et al. (arXiv 1511.06434).

    Args:
        noise_size: Length of the noise.
        image_shape: Channels, height and width of the images, the latter multiples of 4.
        hidden_size: Width of the first layer.
        channels: Channels of the map that the linear layers make; half as many at half the size.

    Raises:
        ValueError: if height or width is no multiple of 4.
    """

    def __init__(
        self,
        noise_size: int = 96,
        image_shape: Sequence[int] = (1, 28, 28),
        hidden_size: int = 1024,
        channels: int = 128,
    ) -> None:
        out_channels, height, width = image_shape
        if height % 4 or width % 4:
            raise ValueError(
                f"model.generator.image_shape={tuple(image_shape)}: height and width must be "
                "multiples of 4."
            )
        shape = (channels, height // 4, width // 4)
        half = channels // 2
        super().__init__(
            nn.Linear(noise_size, hidden_size),
            nn.BatchNorm1d(hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, math.prod(shape)),
            nn.BatchNorm1d(math.prod(shape)),
            nn.ReLU(),
            nn.Unflatten(1, shape),
            nn.ConvTranspose2d(channels, half, kernel_size=4, stride=2, padding=1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.ConvTranspose2d(half, out_channels, kernel_size=4, stride=2, padding=1),
            nn.Tanh(),
        )
        self.apply(_start_small)


@MODELS.register_module()
class ConvDiscriminator(nn.Module):
    """Two 5×5 convolutions with max pooling and two linear layers, to one logit.

    Leaky ReLU (0.2) between all of them; initial weights of N(0, 0.02²), as in the generator. With
    larger ones it would win before the generator has learned anything.

    Args:
        image_shape: Channels, height and width of the images, at least 16 each of the latter.
        channels: Output channels of the convolutions.

    Raises:
        ValueError: if the images are too small.
    """

    def __init__(
        self, image_shape: Sequence[int] = (1, 28, 28), channels: Sequence[int] = (32, 64)
    ) -> None:
        super().__init__()
        in_channels, height, width = image_shape
        if min(height, width) < 16:
            raise ValueError(
                f"model.discriminator.image_shape={tuple(image_shape)}: height and width must be "
                "at least 16."
            )
        first, second = channels
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, first, kernel_size=5),
            _leaky_relu(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, kernel_size=5),
            _leaky_relu(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        # A CPU takes two thirds of the time for it.
        self.features.to(memory_format=torch.channels_last)
        size = second * math.prod(((s - 4) // 2 - 4) // 2 for s in (height, width))
        self.classifier = fully_connected((size, size, 1), _leaky_relu)
        self.apply(_start_small)

    def forward(self, images: Tensor) -> Tensor:
        """Logit [N, 1] that the images [N, C, H, W] are real."""
        return self.classifier(self.features(images))


def _start_small(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
