"""What all autoencoders have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from tbd.checks import check_choice
from tbd.generative.image_model import ImageModel
from tbd.generative.objectives import squared_error
from tbd.generative.pixels import to_pixels

OutputKind = Literal["tanh", "linear"]
"""Range of a decoder: −1…1 for images, anything for feature maps."""


class AutoEncodingModel(ImageModel):
    """An encoder to a short code and a decoder back, trained by the squared error of each image.

    Subclasses say how to :meth:`encode` and :meth:`decode`.
    """

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Code of images [N, C, H, W]: [N, ...]."""

    @abstractmethod
    def decode(self, code: Tensor) -> Tensor:
        """Images [N, C, H, W] of a code."""

    def decode_like(self, code: Tensor, images: Tensor) -> Tensor:
        """Decode to the size of given images, where a code leaves it open."""
        return self.decode(code)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Encode and decode."""
        return self.decode_like(self.encode(images), images)

    def outputs(self, images: Tensor) -> Tensor:
        """Reconstructions of the images."""
        return self.reconstruct(images)

    def loss(
        self, images: Tensor, data_samples: Sequence[BaseDataElement] | None
    ) -> dict[str, Tensor]:
        """``loss_reconstruction``: the summed squared error per image, averaged over the batch."""
        return {"loss_reconstruction": squared_error(self.reconstruct(images), images).mean()}

    def predict(
        self, images: Tensor, data_samples: Sequence[BaseDataElement]
    ) -> list[BaseDataElement]:
        """Add ``code``, ``reconstruction`` (pixels) and ``squared_error`` to the data elements."""
        codes = self.encode(images)
        reconstructions = self.decode_like(codes, images)
        errors = squared_error(reconstructions, images)
        pixels = to_pixels(reconstructions)
        for index, sample in enumerate(data_samples):
            sample.code = codes[index].flatten()
            sample.reconstruction = pixels[index]
            sample.squared_error = errors[index]
        return list(data_samples)


def output_activation(kind: OutputKind) -> nn.Module:
    """Build the last layer of a decoder.

    Raises:
        ValueError: if ``kind`` is not one of :data:`OutputKind`.
    """
    check_choice(OutputKind, output=kind)
    return nn.Tanh() if kind == "tanh" else nn.Identity()
