"""From the pixels of images to the range of the networks, and back."""

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from tbd.registry import MODELS


@MODELS.register_module()
class PixelPreprocessor(BaseDataPreprocessor):
    """Scale pixels 0…255 to −1…1, the range of tanh, and stack the images of a batch."""

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Move a batch to the device and scale it.

        Args:
            data: ``inputs``, a list of images [C, H, W] or a tensor [N, C, H, W], uint8; whatever
                else it holds is only moved.
            training: Without effect.

        Returns:
            ``data`` with ``inputs`` [N, C, H, W], float32.

        Raises:
            ValueError: if the images are of several sizes.
        """
        data = self.cast_data(data)
        images = data["inputs"]
        if not isinstance(images, Tensor):
            shapes = sorted({tuple(image.shape) for image in images})
            if len(shapes) > 1:
                raise ValueError(
                    f"the images of a batch have the shapes {shapes}; the data set "
                    "(train_dataloader.dataset) must bring them to one size."
                )
            images = torch.stack(list(images))
        return {**data, "inputs": images.float() / 127.5 - 1}


def to_pixels(images: Tensor) -> Tensor:
    """Turn images in −1…1 into pixels 0…255, uint8."""
    return ((images.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
