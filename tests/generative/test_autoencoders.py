import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from torch import nn
from torch.distributions import Normal, kl_divergence

from tbd.generative import (
    AutoEncoder,
    ConvAutoEncoder,
    ConvVariationalAutoEncoder,
    VariationalAutoEncoder,
)

KINDS = [AutoEncoder, ConvAutoEncoder, VariationalAutoEncoder, ConvVariationalAutoEncoder]
VARIATIONAL = [VariationalAutoEncoder, ConvVariationalAutoEncoder]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def images(count=4, *shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, *(shape or (1, 28, 28)), generator=generator) - 1


def samples(count, first=0):
    return [BaseDataElement(metainfo=dict(img_id=first + i), label=i % 10) for i in range(count)]


def linear_sizes(network):
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return [layers[0].in_features, *(layer.out_features for layer in layers)]


def test_default_sizes_are_those_of_the_papers():
    model = AutoEncoder()
    assert linear_sizes(model.encoder) == [784, 128, 64, 12, 3]
    assert linear_sizes(model.decoder) == [3, 12, 64, 128, 784]
    model = VariationalAutoEncoder()
    assert linear_sizes(model.encoder) == [784, 400]
    assert linear_sizes(model.mean) == linear_sizes(model.log_variance) == [400, 20]
    assert linear_sizes(model.decoder) == [20, 400, 784]
    assert ConvAutoEncoder().encode(images()).shape == (4, 8, 4, 4)


def test_the_fully_connected_one_equals_its_layers_in_numpy():
    model = AutoEncoder(image_shape=(1, 3, 4), hidden_sizes=(7,), code_size=2).double()
    batch = images(5, 1, 3, 4).double()

    def layers(network):
        weights = [p.detach().numpy() for p in network.parameters()]
        return list(zip(weights[::2], weights[1::2], strict=True))

    x = batch.numpy().reshape(5, 12)
    (w1, b1), (w2, b2) = layers(model.encoder)
    (w3, b3), (w4, b4) = layers(model.decoder)
    code = np.maximum(x @ w1.T + b1, 0) @ w2.T + b2
    expected = np.tanh(np.maximum(code @ w3.T + b3, 0) @ w4.T + b4)
    np.testing.assert_allclose(model.encode(batch).detach().numpy(), code, rtol=1e-12)
    found = model(batch).detach().numpy()
    np.testing.assert_allclose(found.reshape(5, 12), expected, rtol=1e-12)
    loss = model(batch, mode="loss")["loss_reconstruction"].item()
    np.testing.assert_allclose(loss, ((expected - x) ** 2).sum() / 5, rtol=1e-12)


@pytest.mark.parametrize("kind", VARIATIONAL)
@pytest.mark.parametrize("variance", [0.5, 2.0])
def test_the_variational_loss_is_that_of_the_reparametrised_code(kind, variance):
    model = kind(decoder_variance=variance).double()
    batch = images(6).double()
    state = {key: value.clone() for key, value in model.noise.state_dict().items()}
    found = model(batch, mode="loss")
    model.noise.load_state_dict(state)
    mean, log_variance = model.posterior(batch)
    code = mean + torch.sqrt(torch.exp(log_variance)) * model.noise(*mean.shape)
    error = (model.decode_like(code, batch) - batch).pow(2).sum() / 6 / (2 * variance)
    kl = (mean.pow(2) + log_variance.exp() - 1 - log_variance).sum() / 2 / 6
    torch.testing.assert_close(found, {"loss_reconstruction": error, "loss_kl": kl})
    gradients = torch.autograd.grad(sum(found.values()), list(model.parameters()))
    expected = torch.autograd.grad(error + kl, list(model.parameters()))
    for one, two in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, two)


def test_the_default_loss_is_the_bound_under_a_normal_distribution():
    model = VariationalAutoEncoder().double()
    batch = images(5).double()
    state = {key: value.clone() for key, value in model.noise.state_dict().items()}
    found = sum(model(batch, mode="loss").values())
    model.noise.load_state_dict(state)
    mean, log_variance = model.posterior(batch)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    likelihood = Normal(model.decode(mean + posterior.stddev * model.noise(5, 20)), 0.5**0.5)
    bound = likelihood.log_prob(batch).sum() - kl_divergence(posterior, Normal(0.0, 1.0)).sum()
    constant = -0.5 * 784 * np.log(np.pi)
    torch.testing.assert_close(found, constant - bound / 5)


@pytest.mark.parametrize("kind", VARIATIONAL)
def test_the_bound_of_an_image_does_not_depend_on_its_batch(kind):
    model = kind().eval()
    batch = images(6)
    together = model(batch, samples(6), mode="predict")
    alone = model(batch[2:3], samples(1, first=2), mode="predict")
    torch.testing.assert_close(alone[0].elbo, together[2].elbo)
    assert together[2].elbo < -together[2].kl < 0
    mean = model.encode(batch)
    assert torch.allclose(alone[0].code, mean[2].flatten(), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_carry_what_metrics_and_pictures_need(kind):
    model, batch = kind().eval(), images(3)
    predicted = model(batch, samples(3), mode="predict")
    for sample, image in zip(predicted, batch, strict=True):
        pixels = model(image[None])[0]
        assert sample.reconstruction.dtype == torch.uint8
        torch.testing.assert_close(
            sample.reconstruction.float() / 127.5 - 1, pixels.detach(), atol=1 / 255, rtol=0
        )
        torch.testing.assert_close(sample.squared_error, (pixels - image).pow(2).sum())
    assert [sample.img_id for sample in predicted] == [0, 1, 2]


@pytest.mark.parametrize("size", [(28, 28), (29, 30), (17, 40)])
@pytest.mark.parametrize("kind", [ConvAutoEncoder, ConvVariationalAutoEncoder])
def test_convolutions_reconstruct_any_size(kind, size):
    model = kind(in_channels=5, output="linear", batch_norm=True, negative_slope=0.1)
    batch = images(2, 5, *size)
    assert model(batch).shape == batch.shape
    assert model.encode(batch).shape[1] == 8


def test_even_kernels_and_unit_strides_reconstruct_too():
    model = ConvAutoEncoder(channels=(4, 6, 3), strides=(2, 1, 2), kernel_size=4)
    with pytest.raises(ValueError, match=r"strides=\(2, 1, 2\)"):
        model.decode(torch.zeros(1, 3, 9, 9), (28, 28))
    assert model(images()).shape == (4, 1, 28, 28)
    # Without a size, that of the code times all strides.
    odd = ConvAutoEncoder(channels=(4, 6, 3), strides=(2, 1, 2), kernel_size=3)
    assert odd.decode(torch.zeros(1, 3, 4, 5)).shape == (1, 1, 16, 20)
    factor = ConvAutoEncoder(in_channels=6, channels=(6, 3, 3), strides=(1, 1, 1))
    assert factor.encode(images(1, 6, 9, 7)).shape == (1, 3, 9, 7)


@pytest.mark.parametrize("kind", [AutoEncoder, VariationalAutoEncoder])
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 28, 28), (1, 14, 56)])
def test_images_of_another_size_are_an_error(kind, shape):
    with pytest.raises(ValueError, match=r"model\.image_shape=\(1, 28, 28\).*dataset"):
        kind()(images(2, *shape))


@pytest.mark.parametrize("kind", [ConvAutoEncoder, ConvVariationalAutoEncoder])
def test_images_of_other_channels_are_an_error(kind):
    with pytest.raises(ValueError, match=r"model\.in_channels=1.*have 3"):
        kind()(images(2, 3, 28, 28))


def test_a_single_number_under_batch_norm_is_an_error():
    model = ConvAutoEncoder(channels=(4, 4), strides=(2, 2), batch_norm=True)
    with pytest.raises(ValueError, match=r"batch_norm=True.*train_dataloader\.batch_size"):
        model(images(1, 1, 2, 2))
    assert model(images(2, 1, 2, 2)).shape == (2, 1, 2, 2)
    assert model.eval()(images(1, 1, 2, 2)).shape == (1, 1, 2, 2)


@pytest.mark.parametrize("value", [100.0, float("nan")])
def test_an_overflowing_variance_is_an_error_that_says_what_to_change(value):
    model = VariationalAutoEncoder()
    with torch.no_grad():
        model.log_variance[0].bias.fill_(value)
    with pytest.raises(FloatingPointError, match=r"optim_wrapper\.optimizer\.lr.*clip_grad"):
        model(images(), mode="loss")


def test_settings_out_of_range_are_errors():
    with pytest.raises(ValueError, match="output='sigmoid'"):
        AutoEncoder(output="sigmoid")
    with pytest.raises(ValueError, match=r"sizes=\(784, 0, 3\)"):
        AutoEncoder(hidden_sizes=(0,))
    with pytest.raises(ValueError, match="one entry for each"):
        ConvAutoEncoder(channels=(4, 4), strides=(2,))
    with pytest.raises(ValueError, match=r"strides=\(4,\).*kernel_size=3"):
        ConvAutoEncoder(channels=(4,), strides=(4,))
    with pytest.raises(ValueError, match=r"hidden_sizes=\(\)"):
        VariationalAutoEncoder(hidden_sizes=())
    with pytest.raises(ValueError, match=r"decoder_variance=0\.0 must be finite and positive"):
        VariationalAutoEncoder(decoder_variance=0.0)
    with pytest.raises(ValueError, match="mode='both'"):
        AutoEncoder()(images(), mode="both")


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_gives_nearly_the_same_loss(kind):
    model, batch = kind(), images()
    state = model.noise.state_dict() if hasattr(model, "noise") else {}
    state = {key: value.clone() for key, value in state.items()}
    full = model(batch, mode="loss")
    if state:
        model.noise.load_state_dict(state)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(batch, mode="loss")
    for key, value in mixed.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, full[key], rtol=0.02, atol=0.05)


def test_samples_of_the_prior_are_the_same_each_time():
    model = VariationalAutoEncoder()
    first = model.sample(3)
    assert first.shape == (3, 1, 28, 28)
    assert torch.equal(first, model.sample(3))
    assert not torch.equal(first[0], first[1])
