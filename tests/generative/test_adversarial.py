import copy

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.structures import BaseDataElement
from torch import nn

from tbd.generative import (
    ConvDiscriminator,
    ConvGenerator,
    FullyConnectedGenerator,
    GenerativeAdversarialNetwork,
    SeparateOptimWrapperConstructor,
    through_frozen,
)
from tbd.generative.noise import symmetric_uniform

CONVOLUTIONAL = dict(
    generator=dict(type="tbd.ConvGenerator", hidden_size=32, channels=8),
    discriminator=dict(type="tbd.ConvDiscriminator", channels=(4, 6)),
)
CONNECTED = dict(generator=dict(hidden_sizes=(16, 16)), discriminator=dict(hidden_sizes=(12, 12)))
ADAM = dict(type="Adam", lr=3e-4, betas=(0.5, 0.999))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def batch(count=6):
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return {"inputs": list(pixels), "data_samples": None}


def optimizers(model, **settings):
    return SeparateOptimWrapperConstructor(dict(optimizer=ADAM, **settings))(model)


def snapshot(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def assert_same(one, two):
    assert one.keys() == two.keys()
    for key, value in one.items():
        assert torch.equal(value, two[key]), key


class Spying(OptimWrapper):
    """Keeps what a network looks like after each of its updates."""

    def watch(self, network):
        self.network, self.states = network, []

    def update_params(self, loss, *args, **kwargs):
        super().update_params(loss, *args, **kwargs)
        self.states.append(snapshot(self.network))


def layers(network):
    return [
        tuple(m.weight.shape)
        for m in network.modules()
        if isinstance(m, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    ]


def test_default_sizes():
    model = GenerativeAdversarialNetwork()
    assert layers(model.generator) == [(1024, 96), (1024, 1024), (784, 1024)]
    assert layers(model.discriminator) == [(256, 784), (256, 256), (1, 256)]
    assert layers(ConvGenerator()) == [
        (1024, 96), (6272, 1024), (128, 64, 4, 4), (64, 1, 4, 4)
    ]  # fmt: skip
    assert layers(ConvDiscriminator()) == [
        (32, 1, 5, 5), (64, 32, 5, 5), (1024, 1024), (1, 1024)
    ]  # fmt: skip
    assert {m.negative_slope for m in model.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}


@pytest.mark.parametrize("loss", ["vanilla", "lsgan"])
@pytest.mark.parametrize("networks", [CONNECTED, CONVOLUTIONAL], ids=["connected", "conv"])
def test_a_step_equals_the_two_updates_written_out(loss, networks):
    model = GenerativeAdversarialNetwork(
        loss=loss, data_preprocessor=dict(type="BaseDataPreprocessor"), **networks
    ).double()
    model.noise.distribution = lambda *args: symmetric_uniform(*args).double()
    reference = copy.deepcopy(model)
    images = torch.stack(batch()["inputs"]).double() / 127.5 - 1
    update = optimizers(model)
    found = [model.train_step({"inputs": images}, update) for _ in range(2)]

    generator, discriminator = reference.generator, reference.discriminator
    adam_g, adam_d = (
        torch.optim.Adam(network.parameters(), lr=3e-4, betas=(0.5, 0.999))
        for network in (generator, discriminator)
    )
    target = nn.BCEWithLogitsLoss() if loss == "vanilla" else nn.MSELoss()
    scale = 1.0 if loss == "vanilla" else 0.5
    for logged in found:
        fakes = generator(reference.noise(6, 96))
        real, fake = discriminator(images), discriminator(fakes.detach())
        loss_d = scale * (
            target(real, torch.ones_like(real)) + target(fake, torch.zeros_like(fake))
        )
        adam_d.zero_grad()
        loss_d.backward()
        adam_d.step()
        judged = discriminator(fakes)
        loss_g = scale * target(judged, torch.ones_like(judged))
        adam_g.zero_grad()
        loss_g.backward()
        adam_g.step()
        torch.testing.assert_close(logged["loss_discriminator"], loss_d.detach())
        torch.testing.assert_close(logged["loss_generator"], loss_g.detach())
    for (key, one), two in zip(
        model.state_dict().items(), reference.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, two, msg=lambda text, key=key: f"{key}: {text}")


def normalised(model):
    """Give the discriminator batch norm, whose statistics a careless step would change."""
    model.discriminator = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2), nn.Linear(8, 1)
    )
    return model


def test_the_generators_step_leaves_the_discriminator_alone():
    model = normalised(GenerativeAdversarialNetwork(**CONNECTED))
    wrappers = {
        name: Spying(torch.optim.Adam(getattr(model, name).parameters(), lr=0.01))
        for name in ("generator", "discriminator")
    }
    # Both watch the discriminator: its own update must change it, the generator's must not.
    for wrapper in wrappers.values():
        wrapper.watch(model.discriminator)
    before = snapshot(model.discriminator)
    generator = snapshot(model.generator)
    model.train_step(batch(), OptimWrapperDict(**wrappers))
    (after_own,), (after_generators,) = (
        wrappers[name].states for name in ("discriminator", "generator")
    )
    assert_same(after_own, after_generators)
    assert after_own["2.num_batches_tracked"] == 1
    for key in ("1.weight", "2.running_mean"):
        assert not torch.equal(before[key], after_own[key])
    assert not torch.equal(generator["0.0.weight"], model.generator.state_dict()["0.0.weight"])


def test_the_discriminators_step_sends_no_gradient_to_the_generator():
    model = GenerativeAdversarialNetwork(**CONVOLUTIONAL)
    update = optimizers(model)
    before = snapshot(model.generator)
    update["generator"].update_params = lambda loss: None
    model.train_step(batch(), update)
    assert all(weight.grad is None for weight in model.generator.parameters())
    weights = {key for key, _ in model.generator.named_parameters()}
    after = model.generator.state_dict()
    assert_same({k: before[k] for k in weights}, {k: after[k] for k in weights})


def test_gradients_pass_through_a_frozen_network():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh()).double()
    other = copy.deepcopy(network)
    before = snapshot(network)
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(through_frozen(network, x).square().sum(), x)
    (expected,) = torch.autograd.grad(other(x).square().sum(), x)
    torch.testing.assert_close(found, expected)
    assert_same(before, snapshot(network))
    assert all(weight.grad is None for weight in network.parameters())


def test_mixed_precision_updates_both_networks():
    class BFloat16(OptimWrapper):
        def optim_context(self, model):
            return torch.autocast("cpu", torch.bfloat16)

    model = GenerativeAdversarialNetwork(**CONVOLUTIONAL)
    full = copy.deepcopy(model)
    update = OptimWrapperDict(
        **{
            name: BFloat16(torch.optim.Adam(getattr(model, name).parameters()))
            for name in ("generator", "discriminator")
        }
    )
    before = snapshot(model)
    logged = model.train_step(batch(), update)
    expected = full.train_step(batch(), optimizers(full))
    for key in ("loss_generator", "loss_discriminator"):
        assert logged[key].dtype == torch.float32
        torch.testing.assert_close(logged[key], expected[key], rtol=0.02, atol=0.01)
    # The gradients of a bias may cancel exactly: real and fake at the start, batch norm always.
    for key in (key for key, _ in model.named_parameters() if key.endswith("weight")):
        assert not torch.equal(before[key], model.state_dict()[key]), key


def test_what_the_discriminator_recognises():
    model = GenerativeAdversarialNetwork(loss="lsgan", **CONNECTED)
    output = nn.Linear(1, 1)
    model.discriminator = nn.Sequential(
        nn.Flatten(), nn.AvgPool1d(784), output
    )  # the mean of an image
    with torch.no_grad():
        output.weight.fill_(0.0)
        output.bias.fill_(0.6)
    logged = model.train_step(batch(), optimizers(model))
    assert (logged["real_recognised"].item(), logged["fake_recognised"].item()) == (1.0, 0.0)
    np.testing.assert_allclose(
        logged["loss_discriminator"].item(), 0.5 * 0.4**2 + 0.5 * 0.6**2, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("loss", "logit", "recognised"),
    [("lsgan", 0.3, (0, 1)), ("vanilla", 0.3, (1, 0)), ("vanilla", -0.3, (0, 1))],
)
def test_real_is_what_is_nearer_to_the_target_of_real_images(loss, logit, recognised):
    model = GenerativeAdversarialNetwork(loss=loss, **CONNECTED)
    output = nn.Linear(784, 1)
    nn.init.zeros_(output.weight)
    nn.init.constant_(output.bias, logit)
    model.discriminator = nn.Sequential(nn.Flatten(), output)
    logged = model.train_step(batch(), optimizers(model))
    assert (logged["real_recognised"].item(), logged["fake_recognised"].item()) == recognised


def test_predictions_belong_to_the_image():
    model = GenerativeAdversarialNetwork(**CONVOLUTIONAL).eval()
    images = torch.zeros(3, 1, 28, 28)
    ids = [BaseDataElement(metainfo=dict(img_id=i), label=0) for i in (4, 7, 9)]
    together = model(images, ids, mode="predict")
    alone = model(images[:1], [BaseDataElement(metainfo=dict(img_id=7))], mode="predict")
    difference = together[1].generated.int() - alone[0].generated.int()
    assert difference.abs().max() <= 1
    assert together[0].generated.shape == (1, 28, 28)
    assert not torch.equal(together[0].generated, together[1].generated)
    assert model(images).shape == (3, 1, 28, 28)


def test_one_image_and_batch_norm_are_an_error():
    model = GenerativeAdversarialNetwork(**CONVOLUTIONAL)
    with pytest.raises(ValueError, match=r"train_dataloader\.batch_size.*drop_last=True"):
        model.train_step(batch(1), optimizers(model))
    connected = GenerativeAdversarialNetwork(**CONNECTED)
    connected.train_step(batch(1), optimizers(connected))


def test_one_optimizer_for_both_is_an_error():
    model = GenerativeAdversarialNetwork(**CONNECTED)
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters()))
    with pytest.raises(TypeError, match="SeparateOptimWrapperConstructor"):
        model.train_step(batch(), wrapper)
    with pytest.raises(TypeError, match="MMSeparateDistributedDataParallel"):
        model(torch.zeros(2, 1, 28, 28), mode="loss")


def test_settings_and_images_out_of_range_are_errors():
    with pytest.raises(ValueError, match="loss='wgan'"):
        GenerativeAdversarialNetwork(loss="wgan")
    with pytest.raises(ValueError, match=r"model\.generator\.image_shape=\(1, 30, 28\)"):
        ConvGenerator(image_shape=(1, 30, 28))
    with pytest.raises(ValueError, match=r"model\.discriminator\.image_shape=\(1, 12, 28\)"):
        ConvDiscriminator(image_shape=(1, 12, 28))
    model = GenerativeAdversarialNetwork(**CONNECTED)
    data = {"inputs": torch.zeros(2, 1, 32, 32, dtype=torch.uint8)}
    with pytest.raises(ValueError, match=r"model\.image_shape=\(1, 28, 28\)"):
        model.train_step(data, optimizers(model))


def test_a_fully_connected_generator_can_normalise():
    kinds = [type(m).__name__ for m in FullyConnectedGenerator(batch_norm=True)[0]]
    block = ["Linear", "BatchNorm1d", "ReLU"]
    assert kinds == [*block, *block, "Linear"]
    model = GenerativeAdversarialNetwork(generator=dict(hidden_sizes=(8,), batch_norm=True))
    with pytest.raises(ValueError, match=r"train_dataloader\.batch_size"):
        model.train_step(batch(1), optimizers(model))


def test_convolutional_networks_start_small():
    for network in (ConvGenerator(), ConvDiscriminator()):
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                count = module.weight.numel()
                assert abs(module.weight.std() - 0.02) < 0.02 * 4 / count**0.5
                assert not module.bias.any()


def test_convolutional_pair_of_another_size():
    shape = (3, 32, 20)
    fakes = ConvGenerator(image_shape=shape)(torch.zeros(2, 96))
    assert fakes.shape == (2, *shape)
    assert ConvDiscriminator(image_shape=shape)(fakes).shape == (2, 1)
