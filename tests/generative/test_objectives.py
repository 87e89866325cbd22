import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch.distributions import Normal, kl_divergence

from tbd.generative import (
    discriminator_loss,
    generator_loss,
    kl_to_standard_normal,
    squared_error,
)


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def finite_differences(function, at, step=1e-6):
    """Gradient of a scalar function of a NumPy array by central differences."""
    gradient = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        shift = np.zeros_like(at)
        shift[index] = step
        gradient[index] = (function(at + shift) - function(at - shift)) / (2 * step)
    return gradient


def check_gradient(loss, reference, at):
    """The loss and its gradient equal those of a reference in NumPy."""
    at = at.clone().requires_grad_()
    value = loss(at)
    value.backward()
    np.testing.assert_allclose(value.item(), reference(at.detach().numpy()), rtol=1e-12)
    expected = finite_differences(reference, at.detach().numpy())
    np.testing.assert_allclose(at.grad.numpy(), expected, atol=1e-7)


def test_squared_error_sums_over_an_image():
    images = numbers(3, 1, 4, 5, seed=1)
    check_gradient(
        lambda x: (squared_error(x, images) * torch.tensor([1.0, 2.0, 3.0])).sum(),
        lambda x: sum((i + 1) * ((x[i] - images[i].numpy()) ** 2).sum() for i in range(3)),
        numbers(3, 1, 4, 5),
    )


def test_squared_error_refuses_to_broadcast():
    with pytest.raises(ValueError, match=r"\[2, 1, 4, 4\].*\[2, 3, 4, 4\]"):
        squared_error(torch.zeros(2, 1, 4, 4), torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.3, -2.0), (-0.4, 1.5)])
def test_divergence_equals_its_integral(mean, log_variance):
    deviation = np.exp(log_variance / 2)

    def integrand(z):
        q, p = norm.logpdf(z, mean, deviation), norm.logpdf(z)
        return np.exp(q) * (q - p)

    expected, _ = quad(integrand, mean - 12 * deviation, mean + 12 * deviation, epsabs=1e-12)
    found = kl_to_standard_normal(
        torch.tensor([[mean]], dtype=torch.float64),
        torch.tensor([[log_variance]], dtype=torch.float64),
    )
    np.testing.assert_allclose(found.item(), expected, atol=1e-10)


def test_divergence_and_gradient_equal_those_of_torch_distributions():
    mean, log_variance = (numbers(4, 2, 3, seed=s).requires_grad_() for s in (0, 1))
    found = kl_to_standard_normal(mean, log_variance)
    gradients = torch.autograd.grad(found.sum(), (mean, log_variance))
    posterior = Normal(mean, (0.5 * log_variance).exp())
    expected = kl_divergence(posterior, Normal(0.0, 1.0)).sum(dim=(1, 2))
    torch.testing.assert_close(found, expected)
    for one, two in zip(
        gradients, torch.autograd.grad(expected.sum(), (mean, log_variance)), strict=True
    ):
        torch.testing.assert_close(one, two)


def log_sigmoid(x):
    return np.log(1 / (1 + np.exp(-x)))


REFERENCES = {
    "vanilla": (
        lambda real, fake: -log_sigmoid(real).mean() - np.log(1 - 1 / (1 + np.exp(-fake))).mean(),
        lambda fake: -log_sigmoid(fake).mean(),
    ),
    "lsgan": (
        lambda real, fake: 0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean(),
        lambda fake: 0.5 * ((fake - 1) ** 2).mean(),
    ),
}


@pytest.mark.parametrize("loss", ["vanilla", "lsgan"])
def test_adversarial_losses(loss):
    real, fake = numbers(5, 1), numbers(7, 1, seed=1)
    of_discriminator, of_generator = REFERENCES[loss]
    check_gradient(
        lambda x: discriminator_loss(x, fake, loss),
        lambda x: of_discriminator(x, fake.numpy()),
        real,
    )
    check_gradient(
        lambda x: discriminator_loss(real, x, loss),
        lambda x: of_discriminator(real.numpy(), x),
        fake,
    )
    check_gradient(lambda x: generator_loss(x, loss), of_generator, fake)


def test_a_certain_discriminator_gives_a_finite_loss_and_teaches_the_generator():
    logits = torch.full((2, 1), -1e4, requires_grad=True)
    loss = generator_loss(logits, "vanilla")
    loss.backward()
    assert loss.item() == 1e4
    torch.testing.assert_close(logits.grad, torch.full((2, 1), -0.5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    images = torch.full((1, 1, 28, 28), 100.0, dtype=dtype)
    # 784 · 100² is beyond float16.
    assert squared_error(images, torch.zeros_like(images)).item() == 784 * 100**2
    assert kl_to_standard_normal(images, torch.zeros_like(images)).item() == 784 * 100**2 / 2
    assert generator_loss(torch.full((3,), -300.0, dtype=dtype), "lsgan").item() == 301**2 / 2


def test_an_unknown_loss_is_an_error():
    with pytest.raises(ValueError, match="loss='hinge' is unknown; choose one of vanilla, lsgan"):
        generator_loss(torch.zeros(1), "hinge")
