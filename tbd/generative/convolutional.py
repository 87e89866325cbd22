"""Convolutional encoder and decoder, for images and for feature maps."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from tbd.generative.autoencoding import OutputKind, output_activation


class ConvEncoder(nn.Sequential):
    """Convolutions, each followed by batch norm (if asked for) and a rectifier but for the last.

    Args:
        in_channels: Channels of the input.
        channels: Output channels of each convolution.
        strides: Stride of each convolution.
        kernel_size: Of all of them; they are padded by (kernel_size − 1) // 2.
        batch_norm: Whether to normalise.
        negative_slope: Of the rectifier; 0 is ReLU.

    Raises:
        ValueError: if the lengths of ``channels`` and ``strides`` differ, or a stride leaves out
            values.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        strides: Sequence[int],
        kernel_size: int,
        batch_norm: bool = False,
        negative_slope: float = 0.0,
    ) -> None:
        _check(channels, strides, kernel_size)
        layers: list[nn.Module] = []
        for index, (inputs, outputs, stride) in enumerate(
            zip((in_channels, *channels), channels, strides, strict=False)
        ):
            padding = (kernel_size - 1) // 2
            layers.append(nn.Conv2d(inputs, outputs, kernel_size, stride, padding))
            if index < len(channels) - 1:
                layers += _norm_and_rectifier(outputs, batch_norm, negative_slope)
        super().__init__(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Encode [N, in_channels, H, W] to [N, channels[-1], h, w].

        Raises:
            ValueError: if a single number is to be normalised.
        """
        for layer in self:
            if isinstance(layer, nn.BatchNorm2d) and self.training and images[:, 0].numel() == 1:
                raise ValueError(
                    "model.batch_norm=True needs statistics, but this batch is one image that the "
                    "convolutions make a single pixel; set train_dataloader.batch_size to 2 or "
                    "more, or model.batch_norm=False."
                )
            images = layer(images)
        return images


class ConvDecoder(nn.Module):
    """The mirror image of a :class:`ConvEncoder`, of transposed convolutions.

    Args:
        in_channels: Channels of the encoder's input, so of this output.
        channels: Of the encoder.
        strides: Of the encoder.
        kernel_size: Of the encoder.
        batch_norm: Whether to normalise.
        negative_slope: Of the rectifier; 0 is ReLU.
        output: Range of the output.

    Raises:
        ValueError: as for the encoder, or if ``output`` is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        strides: Sequence[int],
        kernel_size: int,
        batch_norm: bool = False,
        negative_slope: float = 0.0,
        output: OutputKind = "tanh",
    ) -> None:
        super().__init__()
        _check(channels, strides, kernel_size)
        self.kernel_size = kernel_size
        self.strides = tuple(strides)
        self.padding = (kernel_size - 1) // 2
        self.convolutions = nn.ModuleList()
        self.activations = nn.ModuleList()
        for index in reversed(range(len(channels))):
            outputs = channels[index - 1] if index else in_channels
            self.convolutions.append(
                nn.ConvTranspose2d(
                    channels[index], outputs, kernel_size, strides[index], self.padding
                )
            )
            self.activations.append(
                nn.Sequential(*_norm_and_rectifier(outputs, batch_norm, negative_slope))
                if index
                else output_activation(output)
            )

    def forward(self, code: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Decode.

        Args:
            code: [N, channels[-1], h, w].
            size: Height and width of the encoder's input, which strides leave open. Default: h and
                w times all strides.

        Returns:
            [N, in_channels, H, W].

        Raises:
            ValueError: if an input of ``size`` has no code of this height and width.
        """
        height, width = code.shape[-2:]
        scale = math.prod(self.strides)
        sizes = [(height * scale, width * scale) if size is None else tuple(size)]
        for stride in self.strides:
            sizes.append(
                tuple(
                    (length + 2 * self.padding - self.kernel_size) // stride + 1
                    for length in sizes[-1]
                )
            )
        if sizes[-1] != (height, width):
            raise ValueError(
                f"a code of {(height, width)} is none of an input of {sizes[0]}, whose code is "
                f"{sizes[-1]} with strides={self.strides}."
            )
        layers = zip(self.convolutions, self.activations, sizes[-2::-1], strict=True)
        for convolution, activation, output_size in layers:
            code = activation(convolution(code, output_size=list(output_size)))
        return code


def _check(channels: Sequence[int], strides: Sequence[int], kernel_size: int) -> None:
    if not channels or len(channels) != len(strides):
        raise ValueError(
            f"channels={tuple(channels)} and strides={tuple(strides)} must have one entry for "
            "each convolution."
        )
    if min(strides) < 1 or kernel_size < max(strides):
        raise ValueError(
            f"strides={tuple(strides)} must be between 1 and kernel_size={kernel_size}."
        )


def _norm_and_rectifier(channels: int, batch_norm: bool, negative_slope: float) -> list[nn.Module]:
    rectifier = nn.LeakyReLU(negative_slope) if negative_slope else nn.ReLU()
    return [nn.BatchNorm2d(channels), rectifier] if batch_norm else [rectifier]
