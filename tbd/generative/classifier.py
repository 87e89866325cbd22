"""A small classifier, in whose eyes generated images are judged."""

from collections.abc import Sequence
from typing import Any

from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F

from tbd.generative.image_model import ImageModel, check_shape
from tbd.precision import at_least_float32
from tbd.registry import MODELS


@MODELS.register_module()
class ImageClassifier(ImageModel):
    """Two strided convolutions with batch norm, a layer of features, and a linear classifier.

    Args:
        num_classes: Number of classes.
        image_shape: Channels, height and width of the images.
        num_features: Length of the features.
        data_preprocessor: See :class:`~tbd.generative.ImageModel`.
        init_cfg: See :class:`~tbd.generative.ImageModel`.
    """

    def __init__(
        self,
        num_classes: int = 10,
        image_shape: Sequence[int] = (1, 28, 28),
        num_features: int = 64,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.image_shape = tuple(image_shape)
        channels, height, width = self.image_shape
        self.feature_layers = nn.Sequential(
            nn.Conv2d(channels, 16, kernel_size=5, stride=2, padding=2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, kernel_size=5, stride=2, padding=2),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * -(-height // 4) * -(-width // 4), num_features),
            nn.ReLU(),
        )
        self.head = nn.Linear(num_features, num_classes)

    def check_images(self, images: Tensor) -> None:
        """Raise a ValueError if the images are not of ``image_shape``."""
        check_shape(images, self.image_shape, type(self).__name__)

    def features(self, images: Tensor) -> Tensor:
        """Features [N, num_features] of images in −1…1."""
        return self.feature_layers(images)

    def loss(
        self, images: Tensor, data_samples: Sequence[BaseDataElement] | None
    ) -> dict[str, Tensor]:
        """``loss_classification``, the cross entropy."""
        labels = images.new_tensor([sample.label for sample in data_samples or ()]).long()
        logits = at_least_float32(self.outputs(images))
        return {"loss_classification": F.cross_entropy(logits, labels)}

    def predict(
        self, images: Tensor, data_samples: Sequence[BaseDataElement]
    ) -> list[BaseDataElement]:
        """Add ``predicted_label`` to the data elements."""
        predicted = self.outputs(images).argmax(dim=1).tolist()
        for sample, label in zip(data_samples, predicted, strict=True):
            sample.predicted_label = label
        return list(data_samples)

    def outputs(self, images: Tensor) -> Tensor:
        """Logits [N, num_classes]."""
        return self.head(self.features(images))
