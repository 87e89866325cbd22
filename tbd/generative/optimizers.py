"""One optimizer for each network of a model."""

import copy
from typing import Any

from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from torch import nn

from tbd.generative.bare import bare
from tbd.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SeparateOptimWrapperConstructor:
    """Give each network of a model that has weights to train an optimizer wrapper of its own.

    The networks are the model's direct children. ``optim_wrapper`` in the config is what all of
    them have in common; an entry with the name of a network holds what is different there:

        optim_wrapper = dict(
            constructor="tbd.SeparateOptimWrapperConstructor",
            optimizer=dict(type="Adam", lr=3e-4, betas=(0.5, 0.999)),
            discriminator=dict(optimizer=dict(lr=1e-4)),
        )

    Args:
        optim_wrapper_cfg: ``optim_wrapper`` of the config.
        paramwise_cfg: Settings of single parameters, for every network.
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None
    ) -> None:
        self.optim_wrapper_cfg = optim_wrapper_cfg
        self.paramwise_cfg = paramwise_cfg

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Build the wrappers.

        Raises:
            ValueError: if an entry has the name of no network, or there is no optimizer.
        """
        networks = {
            name: network
            for name, network in bare(model).named_children()
            if any(weight.requires_grad for weight in network.parameters())
        }
        shared = {k: v for k, v in self.optim_wrapper_cfg.items() if k not in networks}
        unknown = [
            key
            for key, value in shared.items()
            if key not in ("optimizer", "clip_grad") and isinstance(value, dict)
        ]
        if unknown or "optimizer" not in shared:
            raise ValueError(
                f"optim_wrapper of {type(bare(model)).__name__} has the entries "
                f"{', '.join(self.optim_wrapper_cfg)}: it needs optimizer, and its networks are "
                f"{', '.join(networks)}."
            )
        return OptimWrapperDict(
            **{
                name: build_optim_wrapper(network, self._config_of(name, shared))
                for name, network in networks.items()
            }
        )

    def _config_of(self, name: str, shared: dict[str, Any]) -> dict[str, Any]:
        config = copy.deepcopy(dict(shared))
        for key, value in self.optim_wrapper_cfg.get(name, {}).items():
            merge = key == "optimizer" and "type" not in value
            config[key] = {**config[key], **value} if merge else copy.deepcopy(value)
        if self.paramwise_cfg is not None:
            config["paramwise_cfg"] = self.paramwise_cfg
        return config
