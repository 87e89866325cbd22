"""Convolutional autoencoder."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from tbd.generative.autoencoding import AutoEncodingModel, OutputKind
from tbd.generative.convolutional import ConvDecoder, ConvEncoder
from tbd.registry import MODELS


@MODELS.register_module()
class ConvAutoEncoder(AutoEncodingModel):
    """Strided convolutions down to a code, transposed ones back.

    With the defaults an image of 28×28 becomes a code of 8×4×4. Images and feature maps of any size
    will do; the reconstruction has the size of the input.

    Args:
        in_channels: Channels of the images, or of feature maps.
        channels: Output channels of each convolution; the last are those of the code.
        strides: Stride of each convolution.
        kernel_size: Of all convolutions.
        batch_norm: Whether to normalise between them.
        negative_slope: Of the rectifier between them; 0 is ReLU.
        output: Range of the decoder; ``"linear"`` for feature maps.
        data_preprocessor: See :class:`~tbd.generative.ImageModel`.
        init_cfg: See :class:`~tbd.generative.ImageModel`.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (16, 32, 8),
        strides: Sequence[int] = (2, 2, 2),
        kernel_size: int = 3,
        batch_norm: bool = False,
        negative_slope: float = 0.0,
        output: OutputKind = "tanh",
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.in_channels = in_channels
        options = (in_channels, channels, strides, kernel_size, batch_norm, negative_slope)
        self.encoder = ConvEncoder(*options)
        self.decoder = ConvDecoder(*options, output=output)

    def check_images(self, images: Tensor) -> None:
        """Raise a ValueError if the images have not ``in_channels`` channels."""
        check_channels(images, self.in_channels, type(self).__name__)

    def encode(self, images: Tensor) -> Tensor:
        """Code [N, channels[-1], h, w] of images [N, in_channels, H, W]."""
        return self.encoder(images)

    def decode(self, code: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Images of a code; for ``size`` see :class:`ConvDecoder`."""
        return self.decoder(code, size)

    def decode_like(self, code: Tensor, images: Tensor) -> Tensor:
        """Decode to the height and width of the images."""
        return self.decode(code, images.shape[-2:])


def check_channels(images: Tensor, in_channels: int, model: str) -> None:
    """Raise a ValueError if images [N, C, H, W] have not the channels of a model."""
    if images.shape[1] != in_channels:
        raise ValueError(
            f"{model} takes model.in_channels={in_channels}, but these images have "
            f"{images.shape[1]}; set model.in_channels to that."
        )
