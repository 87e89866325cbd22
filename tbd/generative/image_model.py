"""What the models on images have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor


class ImageModel(BaseModel):
    """A model that MMEngine trains on images scaled to −1…1.

    Args:
        data_preprocessor: Default: :class:`~tbd.generative.PixelPreprocessor`.
        init_cfg: Initialisation, as of any of MMEngine's modules.
    """

    def __init__(
        self,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor or {"type": "tbd.PixelPreprocessor"}, init_cfg)

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[BaseDataElement] | None = None,
        mode: str = "tensor",
    ) -> Any:
        """Run the model in one of MMEngine's three modes.

        Args:
            inputs: Images [N, C, H, W] in −1…1.
            data_samples: One per image, with ``label`` and ``img_id``.
            mode: ``"loss"`` returns named losses, ``"predict"`` one data element per image,
                ``"tensor"`` images in −1…1, or logits.

        Raises:
            ValueError: if ``mode`` is another, or the images do not fit the model.
        """
        self.check_images(inputs)
        if mode == "loss":
            return self.loss(inputs, data_samples)
        if mode == "predict":
            if data_samples is None:
                data_samples = [BaseDataElement() for _ in inputs]
            return self.predict(inputs, data_samples)
        if mode == "tensor":
            return self.outputs(inputs)
        raise ValueError(f"mode={mode!r} must be 'loss', 'predict' or 'tensor'.")

    @abstractmethod
    def check_images(self, images: Tensor) -> None:
        """Raise a ValueError that names the config key if the model cannot take the images."""

    @abstractmethod
    def loss(
        self, images: Tensor, data_samples: Sequence[BaseDataElement] | None
    ) -> dict[str, Tensor]:
        """Losses, scalars."""

    @abstractmethod
    def predict(
        self, images: Tensor, data_samples: Sequence[BaseDataElement]
    ) -> list[BaseDataElement]:
        """Add what metrics and pictures need to the data elements and return them."""

    @abstractmethod
    def outputs(self, images: Tensor) -> Tensor:
        """What ``mode="tensor"`` returns: images in −1…1, or logits."""


def image_ids(data_samples: Sequence[BaseDataElement]) -> list[int]:
    """``img_id`` of each data element, else its place in the batch."""
    return [int(sample.get("img_id", index)) for index, sample in enumerate(data_samples)]


def check_shape(images: Tensor, shape: Sequence[int], model: str) -> None:
    """Raise a ValueError if images [N, C, H, W] are not of the shape (C, H, W) of a model."""
    if tuple(images.shape[1:]) != tuple(shape):
        raise ValueError(
            f"{model} takes images of model.image_shape={tuple(shape)}, but these are "
            f"{tuple(images.shape[1:])}; set model.image_shape to that, or bring the images of "
            "train_dataloader.dataset and val_dataloader.dataset to the model's."
        )
