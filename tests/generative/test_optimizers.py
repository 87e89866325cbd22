import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn

from tbd.engine import training
from tbd.generative import SeparateOptimWrapperConstructor, optimizers


def model():
    return nn.ModuleDict(dict(one=nn.Linear(2, 3), two=nn.Linear(3, 1), none=nn.ReLU()))


def test_each_network_has_an_optimizer_of_its_own():
    networks = model()
    wrappers = build_optim_wrapper(
        networks,
        dict(
            type="OptimWrapper",
            constructor="tbd.SeparateOptimWrapperConstructor",
            optimizer=dict(type="Adam", lr=0.1, betas=(0.5, 0.999)),
            clip_grad=dict(max_norm=1.0),
            two=dict(optimizer=dict(lr=0.2), clip_grad=None),
        ),
    )
    assert list(wrappers.keys()) == ["one", "two"]
    for name, rate in (("one", 0.1), ("two", 0.2)):
        wrapper = wrappers[name]
        assert isinstance(wrapper, OptimWrapper)
        assert isinstance(wrapper.optimizer, torch.optim.Adam)
        (group,) = wrapper.optimizer.param_groups
        assert (group["lr"], group["betas"]) == (rate, (0.5, 0.999))
        assert [id(p) for p in group["params"]] == [id(p) for p in networks[name].parameters()]
    assert bool(wrappers["one"].clip_grad_kwargs) is True
    assert bool(wrappers["two"].clip_grad_kwargs) is False


def test_another_type_of_optimizer_takes_nothing_over():
    config = dict(
        optimizer=dict(type="Adam", lr=0.1, betas=(0.5, 0.9)),
        two=dict(optimizer=dict(type="SGD", lr=0.3)),
    )
    wrappers = SeparateOptimWrapperConstructor(config)(model())
    assert isinstance(wrappers["two"].optimizer, torch.optim.SGD)
    assert config["optimizer"] == dict(type="Adam", lr=0.1, betas=(0.5, 0.9))


@pytest.mark.parametrize(
    "config",
    [
        dict(optimizer=dict(type="Adam"), three=dict(optimizer=dict(lr=1.0))),
        dict(one=dict(optimizer=dict(type="Adam"))),
    ],
)
def test_unknown_networks_and_missing_optimizers_are_errors(config):
    with pytest.raises(ValueError, match="it needs optimizer, and its networks are one, two"):
        SeparateOptimWrapperConstructor(config)(model())


def test_the_option_for_mixed_precision_reaches_every_network(monkeypatch):
    configs = []

    def build(network, config):
        configs.append(config)
        return OptimWrapper(torch.optim.SGD(network.parameters(), lr=0.1))

    monkeypatch.setattr(training, "is_cuda_available", lambda: True)
    monkeypatch.setattr(optimizers, "build_optim_wrapper", build)
    cfg = Config(dict(optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))))
    training._enable_amp(cfg)
    SeparateOptimWrapperConstructor(cfg.optim_wrapper)(model())
    assert len(configs) == 2
    for config in configs:
        assert config["type"] == "AmpOptimWrapper"
        assert config["loss_scale"] == "dynamic"
