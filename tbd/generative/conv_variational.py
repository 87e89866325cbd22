"""Convolutional variational autoencoder."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from tbd.generative.autoencoding import OutputKind
from tbd.generative.conv_autoencoder import check_channels
from tbd.generative.convolutional import ConvDecoder, ConvEncoder
from tbd.generative.variational import VariationalModel
from tbd.registry import MODELS


@MODELS.register_module()
class ConvVariationalAutoEncoder(VariationalModel):
    """A :class:`~tbd.generative.ConvAutoEncoder` whose code is drawn from N(μ, σ²).

    The encoder's last convolution has twice the channels of the code: μ, then log σ².

    Args:
        in_channels: See :class:`~tbd.generative.ConvAutoEncoder`, as for all others.
        channels: The last are those of the code.
        strides: Stride of each convolution.
        kernel_size: Of all convolutions.
        batch_norm: Whether to normalise between them.
        negative_slope: Of the rectifier between them; 0 is ReLU.
        output: Range of the decoder; ``"linear"`` for feature maps.
        decoder_variance: See :class:`~tbd.generative.VariationalModel`.
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
        decoder_variance: float = 0.5,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(decoder_variance, data_preprocessor, init_cfg)
        self.in_channels = in_channels
        doubled = (*channels[:-1], 2 * channels[-1]) if channels else ()
        layout = (strides, kernel_size, batch_norm, negative_slope)
        self.encoder = ConvEncoder(in_channels, doubled, *layout)
        self.decoder = ConvDecoder(in_channels, channels, *layout, output=output)

    def check_images(self, images: Tensor) -> None:
        """Raise a ValueError if the images have not ``in_channels`` channels."""
        check_channels(images, self.in_channels, type(self).__name__)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [N, channels[-1], h, w] of images [N, in_channels, H, W]."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, code: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Images of a code; for ``size`` see :class:`ConvDecoder`."""
        return self.decoder(code, size)

    def decode_like(self, code: Tensor, images: Tensor) -> Tensor:
        """Decode to the height and width of the images."""
        return self.decode(code, images.shape[-2:])
