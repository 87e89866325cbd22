"""Generative adversarial networks."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.optim import OptimWrapperDict
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tbd.checks import check_choice
from tbd.generative.bare import bare
from tbd.generative.frozen import through_frozen
from tbd.generative.image_model import ImageModel, check_shape, image_ids
from tbd.generative.noise import ResumableNoise, symmetric_uniform
from tbd.generative.objectives import (
    AdversarialLoss,
    discriminator_loss,
    generator_loss,
)
from tbd.generative.pixels import to_pixels
from tbd.precision import at_least_float32
from tbd.registry import MODELS


@MODELS.register_module()
class GenerativeAdversarialNetwork(ImageModel):
    """A generator of images and a discriminator that tells them from real ones.

    In each iteration first the discriminator is updated, then, against the updated one, the
    generator. Each has an optimizer of its own: ``optim_wrapper.constructor`` is
    ``"tbd.SeparateOptimWrapperConstructor"``, and in distributed runs ``model_wrapper_cfg.type`` is
    ``"MMSeparateDistributedDataParallel"``.

    The noise is uniform in [−1, 1) and in the checkpoint, see
    :class:`~tbd.generative.ResumableNoise`.

    Args:
        generator: Config of the network from noise [N, noise_size] to images in −1…1. Default:
            :class:`~tbd.generative.FullyConnectedGenerator`.
        discriminator: Config of the network from images to logits. Default:
            :class:`~tbd.generative.FullyConnectedDiscriminator`.
        loss: ``"vanilla"`` (Goodfellow et al., arXiv 1406.2661) or ``"lsgan"`` (Mao et al.,
            arXiv 1611.04076).
        noise_size: Length of the noise.
        image_shape: Channels, height and width of the images.
        data_preprocessor: See :class:`~tbd.generative.ImageModel`.
        init_cfg: See :class:`~tbd.generative.ImageModel`.

    Raises:
        ValueError: if ``loss`` is neither.
    """

    def __init__(
        self,
        generator: dict[str, Any] | None = None,
        discriminator: dict[str, Any] | None = None,
        loss: AdversarialLoss = "vanilla",
        noise_size: int = 96,
        image_shape: Sequence[int] = (1, 28, 28),
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        check_choice(AdversarialLoss, loss=loss)
        self.loss_kind: AdversarialLoss = loss
        self.noise_size = noise_size
        self.image_shape = tuple(image_shape)
        self.generator = MODELS.build(
            {
                "type": "tbd.FullyConnectedGenerator",
                "noise_size": noise_size,
                "image_shape": self.image_shape,
                **(generator or {}),
            }
        )
        self.discriminator = MODELS.build(
            {
                "type": "tbd.FullyConnectedDiscriminator",
                "image_shape": self.image_shape,
                **(discriminator or {}),
            }
        )
        self.noise = ResumableNoise(symmetric_uniform)
        self._register_state_dict_hook(_name_as_unwrapped)

    def check_images(self, images: Tensor) -> None:
        """Raise a ValueError if the images are not of ``image_shape``."""
        check_shape(images, self.image_shape, type(self).__name__)

    def train_step(
        self, data: dict[str, Any], optim_wrapper: OptimWrapperDict
    ) -> dict[str, Tensor]:
        """Update the discriminator, then the generator.

        Args:
            data: A batch of the data loader.
            optim_wrapper: With the keys ``generator`` and ``discriminator``.

        Returns:
            ``loss_discriminator`` and ``loss_generator``, and the share of ``real`` and of
            ``fake`` images that the discriminator recognises, before its update.

        Raises:
            TypeError: if there is one optimizer for both.
            ValueError: if the images do not fit, or a single one is to be normalised over the
                batch.
        """
        if not isinstance(optim_wrapper, OptimWrapperDict):
            raise TypeError(
                "GenerativeAdversarialNetwork needs one optimizer for each network, not one for "
                "both: set optim_wrapper.constructor='tbd.SeparateOptimWrapperConstructor'."
            )
        images = self.data_preprocessor(data, True)["inputs"]
        self.check_images(images)
        self._check_batch(len(images))
        update_g, update_d = optim_wrapper["generator"], optim_wrapper["discriminator"]

        with update_g.optim_context(self.generator):
            fakes = self.generator(self.noise(len(images), self.noise_size))
        with update_d.optim_context(self.discriminator):
            # One forward: what distributed training counts, and batch norm sees both.
            logits = self.discriminator(torch.cat([images, fakes.detach()]))
        real, fake = at_least_float32(logits).chunk(2)
        loss_d = discriminator_loss(real, fake, self.loss_kind)
        update_d.update_params(loss_d)

        with update_g.optim_context(self.generator):
            judged = through_frozen(bare(self.discriminator), fakes)
        loss_g = generator_loss(judged, self.loss_kind)
        update_g.update_params(loss_g)

        border = 0.0 if self.loss_kind == "vanilla" else 0.5
        return {
            "loss_discriminator": loss_d.detach(),
            "loss_generator": loss_g.detach(),
            "real_recognised": (real.detach() > border).float().mean(),
            "fake_recognised": (fake.detach() <= border).float().mean(),
        }

    def loss(
        self, images: Tensor, data_samples: Sequence[BaseDataElement] | None
    ) -> dict[str, Tensor]:
        """Refuse: the two losses are for two networks, one after the other.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "GenerativeAdversarialNetwork is trained by train_step, not by one loss; in "
            "distributed runs set model_wrapper_cfg.type='MMSeparateDistributedDataParallel'."
        )

    def predict(
        self, images: Tensor, data_samples: Sequence[BaseDataElement]
    ) -> list[BaseDataElement]:
        """Add ``generated`` (pixels) to the data elements, of noise that belongs to ``img_id``."""
        noise = self.noise.of_images(image_ids(data_samples), self.noise_size)
        pixels = to_pixels(self.generator(noise))
        for index, sample in enumerate(data_samples):
            sample.generated = pixels[index]
        return list(data_samples)

    def outputs(self, images: Tensor) -> Tensor:
        """As many generated images as there are real ones."""
        return self.sample(len(images))

    def sample(self, count: int) -> Tensor:
        """Generate ``count`` images, the same ones each time: [count, *image_shape] in −1…1."""
        return self.generator(self.noise.of_images(range(count), self.noise_size))

    def _check_batch(self, images: int) -> None:
        normalised = any(isinstance(module, _BatchNorm) for module in self.modules())
        if images == 1 and self.training and normalised:
            raise ValueError(
                f"{type(self).__name__} normalises over the batch, but this one is a single "
                "image; set train_dataloader.batch_size to 2 or more, and "
                "train_dataloader.drop_last=True if one is left over."
            )


def _name_as_unwrapped(
    model: GenerativeAdversarialNetwork, state_dict: dict[str, Tensor], prefix: str, _: Any
) -> None:
    """Name weights of networks in wrappers for distributed training as those without.

    MMEngine looks for them under these names when it resumes.
    """
    for name, network in model.named_children():
        if bare(network) is not network:
            wrapped = f"{prefix}{name}.module."
            for key in [key for key in state_dict if key.startswith(wrapped)]:
                state_dict[f"{prefix}{name}." + key.removeprefix(wrapped)] = state_dict.pop(key)
