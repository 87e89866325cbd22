"""What the generative models minimise, as pure functions."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from tbd.checks import check_choice, check_same_shape
from tbd.precision import at_least_float32

AdversarialLoss = Literal["vanilla", "lsgan"]
"""``"vanilla"`` is Goodfellow et al. (arXiv 1406.2661) with the generator's non-saturating loss,
``"lsgan"`` Mao et al. (arXiv 1611.04076)."""


def squared_error(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Summed squared error of each image.

    Args:
        reconstruction: [N, ...].
        images: The same shape.

    Returns:
        Σ (reconstruction − images)² over all but the first axis, [N].

    Raises:
        ValueError: if the shapes differ.
    """
    check_same_shape(reconstruction=reconstruction, images=images)
    difference = at_least_float32(reconstruction) - at_least_float32(images)
    return difference.square().flatten(1).sum(dim=1)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of diagonal normal distributions from the standard normal one.

    KL(N(μ, σ²) ‖ N(0, 1)) = −½ Σ (1 + log σ² − μ² − σ²), Kingma and Welling (arXiv 1312.6114),
    appendix B.

    Args:
        mean: μ, [N, ...].
        log_variance: log σ², the same shape.

    Returns:
        The sum over all but the first axis, [N], not negative.
    """
    mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
    terms = 1 + log_variance - mean.square() - log_variance.exp()
    return -0.5 * terms.flatten(1).sum(dim=1)


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, loss: AdversarialLoss) -> Tensor:
    """How badly a discriminator tells real from generated images.

    Vanilla: the binary cross entropies −mean log s(D(x)) − mean log(1 − s(D(G(z)))), s the
    sigmoid. Least squares: mean ½(D(x) − 1)² + mean ½D(G(z))².

    Args:
        real_logits: D(x) of real images, any shape.
        fake_logits: D(G(z)) of generated ones, any shape.
        loss: ``"vanilla"`` or ``"lsgan"``.

    Returns:
        A scalar, not negative.

    Raises:
        ValueError: if ``loss`` is neither.
    """
    check_choice(AdversarialLoss, loss=loss)
    real, fake = at_least_float32(real_logits), at_least_float32(fake_logits)
    if loss == "vanilla":
        return F.softplus(-real).mean() + F.softplus(fake).mean()
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def generator_loss(fake_logits: Tensor, loss: AdversarialLoss) -> Tensor:
    """How badly a generator deceives the discriminator.

    Vanilla: −mean log s(D(G(z))). Least squares: mean ½(D(G(z)) − 1)².

    Args:
        fake_logits: D(G(z)), any shape.
        loss: ``"vanilla"`` or ``"lsgan"``.

    Returns:
        A scalar, not negative.

    Raises:
        ValueError: if ``loss`` is neither.
    """
    check_choice(AdversarialLoss, loss=loss)
    fake = at_least_float32(fake_logits)
    if loss == "vanilla":
        return F.softplus(-fake).mean()
    return 0.5 * (fake - 1).square().mean()
