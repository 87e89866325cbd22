"""Variational autoencoder."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from tbd.checks import check_positive
from tbd.generative.autoencoding import AutoEncodingModel, OutputKind, output_activation
from tbd.generative.fully_connected import fully_connected
from tbd.generative.image_model import check_shape, image_ids
from tbd.generative.noise import ResumableNoise, standard_normal
from tbd.generative.objectives import kl_to_standard_normal, squared_error
from tbd.precision import at_least_float32
from tbd.registry import MODELS


class VariationalModel(AutoEncodingModel):
    """An autoencoder whose code is drawn from a normal distribution that the encoder names.

    The code of an image is N(μ, σ²), its prior N(0, 1); Kingma and Welling (arXiv 1312.6114).
    The loss is the negative evidence lower bound of an image under p(x | z) = N(decode(z), v), up
    to a constant: the squared error of a drawn code over 2 v plus KL(N(μ, σ²) ‖ N(0, 1)). The
    default, v = ½, is the squared error itself.

    The noise is in the checkpoint, see :class:`~tbd.generative.ResumableNoise`. Subclasses say how
    to find the :meth:`posterior` and to :meth:`decode`.

    Args:
        decoder_variance: v. The larger it is, the closer are the codes of all images together to
            the prior, and the coarser are reconstructions.
        data_preprocessor: See :class:`~tbd.generative.ImageModel`.
        init_cfg: See :class:`~tbd.generative.ImageModel`.

    Raises:
        ValueError: if ``decoder_variance`` is not positive.
    """

    def __init__(
        self,
        decoder_variance: float = 0.5,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        check_positive(**{"model.decoder_variance": decoder_variance})
        self.decoder_variance = decoder_variance
        self.noise = ResumableNoise(standard_normal)

    @abstractmethod
    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean μ and log-variance log σ² of the code, [N, ...] both."""

    def encode(self, images: Tensor) -> Tensor:
        """Mean of the code."""
        return self.posterior(images)[0]

    def loss(
        self, images: Tensor, data_samples: Sequence[BaseDataElement] | None
    ) -> dict[str, Tensor]:
        """``loss_reconstruction`` and ``loss_kl`` per image, averaged over the batch.

        Raises:
            FloatingPointError: if the variance of a code is not a finite number.
        """
        mean, log_variance = self.posterior(images)
        error, kl = self._parts(images, mean, log_variance, self.noise(*mean.shape))
        return {"loss_reconstruction": error.mean(), "loss_kl": kl.mean()}

    def predict(
        self, images: Tensor, data_samples: Sequence[BaseDataElement]
    ) -> list[BaseDataElement]:
        """Add what every autoencoder adds, of the mean code, and ``kl`` and ``elbo``.

        ``elbo`` is the lower bound with one drawn code, without its constant −½ D log(2π v), D the
        number of values of an image. The noise belongs to the image (its ``img_id``), so that the
        bound depends on the weights alone.
        """
        samples = super().predict(images, data_samples)
        mean, log_variance = self.posterior(images)
        noise = self.noise.of_images(image_ids(data_samples), *mean.shape[1:])
        error, kl = self._parts(images, mean, log_variance, noise)
        for index, sample in enumerate(samples):
            sample.kl = kl[index]
            sample.elbo = -error[index] - kl[index]
        return samples

    def _parts(
        self, images: Tensor, mean: Tensor, log_variance: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scaled squared error of a drawn code and divergence of its distribution, [N] each."""
        mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
        deviation = (0.5 * log_variance).exp()
        kl = kl_to_standard_normal(mean, log_variance)
        if not bool(torch.isfinite(kl).all()):
            largest = [float(t.detach().abs().max()) for t in (log_variance, mean, images)]
            raise FloatingPointError(
                f"{type(self).__name__}: the variance of a code overflows or is not a number "
                f"(|log-variance| up to {largest[0]:.4g}, |mean| up to {largest[1]:.4g}, |pixels| "
                f"up to {largest[2]:.4g}). Training diverges: lower optim_wrapper.optimizer.lr, "
                "set optim_wrapper.clip_grad=dict(max_norm=10), or see that "
                "model.data_preprocessor scales the images to −1…1."
            )
        drawn = self.decode_like(mean + deviation * noise, images)
        return squared_error(drawn, images) / (2 * self.decoder_variance), kl


@MODELS.register_module()
class VariationalAutoEncoder(VariationalModel):
    """Fully connected variational autoencoder.

    Args:
        image_shape: Channels, height and width of the images.
        hidden_sizes: Widths between image and code; the decoder takes them in reverse.
        code_size: Length of the code.
        output: Range of the decoder.
        decoder_variance: See :class:`VariationalModel`.
        data_preprocessor: See :class:`~tbd.generative.ImageModel`.
        init_cfg: See :class:`~tbd.generative.ImageModel`.

    Raises:
        ValueError: if a size or ``decoder_variance`` is not positive, or there is no hidden size.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 28, 28),
        hidden_sizes: Sequence[int] = (400,),
        code_size: int = 20,
        output: OutputKind = "tanh",
        decoder_variance: float = 0.5,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(decoder_variance, data_preprocessor, init_cfg)
        if not hidden_sizes:
            raise ValueError("model.hidden_sizes=() must name at least one width.")
        self.image_shape = tuple(image_shape)
        self.code_size = code_size
        sizes = (math.prod(self.image_shape), *hidden_sizes)
        self.encoder = nn.Sequential(fully_connected(sizes), nn.ReLU())
        self.mean = fully_connected((sizes[-1], code_size))
        self.log_variance = fully_connected((sizes[-1], code_size))
        self.decoder = fully_connected((code_size, *sizes[::-1]))
        self.output = output_activation(output)

    def check_images(self, images: Tensor) -> None:
        """Raise a ValueError if the images are not of ``image_shape``."""
        check_shape(images, self.image_shape, type(self).__name__)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [N, code_size] of the codes of images [N, *image_shape]."""
        hidden = self.encoder(images.flatten(1))
        return self.mean(hidden), self.log_variance(hidden)

    def decode(self, code: Tensor) -> Tensor:
        """Images [N, *image_shape] of codes [N, code_size]."""
        return self.output(self.decoder(code)).unflatten(1, self.image_shape)

    def sample(self, count: int) -> Tensor:
        """Decode ``count`` codes of the prior, the same ones each time: [count, *image_shape]."""
        return self.decode(self.noise.of_images(range(count), self.code_size))
