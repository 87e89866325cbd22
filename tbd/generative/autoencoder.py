"""Fully connected autoencoder."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from tbd.generative.autoencoding import AutoEncodingModel, OutputKind, output_activation
from tbd.generative.fully_connected import fully_connected
from tbd.generative.image_model import check_shape
from tbd.registry import MODELS


@MODELS.register_module()
class AutoEncoder(AutoEncodingModel):
    """Linear layers with ReLU down to a code, and as many back.

    Args:
        image_shape: Channels, height and width of the images.
        hidden_sizes: Widths between image and code; the decoder takes them in reverse.
        code_size: Length of the code.
        output: Range of the decoder.
        data_preprocessor: See :class:`~tbd.generative.ImageModel`.
        init_cfg: See :class:`~tbd.generative.ImageModel`.

    Raises:
        ValueError: if a size is not positive.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 28, 28),
        hidden_sizes: Sequence[int] = (128, 64, 12),
        code_size: int = 3,
        output: OutputKind = "tanh",
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.image_shape = tuple(image_shape)
        sizes = (math.prod(self.image_shape), *hidden_sizes, code_size)
        self.encoder = fully_connected(sizes)
        self.decoder = fully_connected(sizes[::-1])
        self.output = output_activation(output)

    def check_images(self, images: Tensor) -> None:
        """Raise a ValueError if the images are not of ``image_shape``."""
        check_shape(images, self.image_shape, type(self).__name__)

    def encode(self, images: Tensor) -> Tensor:
        """Code [N, code_size] of images [N, *image_shape]."""
        return self.encoder(images.flatten(1))

    def decode(self, code: Tensor) -> Tensor:
        """Images [N, *image_shape] of a code [N, code_size]."""
        return self.output(self.decoder(code)).unflatten(1, self.image_shape)
