"""Gradients through a network that itself stays as it is."""

from torch import Tensor, nn
from torch.func import functional_call


def through_frozen(network: nn.Module, inputs: Tensor) -> Tensor:
    """Run a network so that gradients reach its inputs but not its weights.

    It runs in its present mode, but its buffers, such as the running statistics of batch norm, are
    left alone too.

    Args:
        network: The network, not wrapped for distributed training.
        inputs: Its input.
    """
    state = {name: weight.detach() for name, weight in network.named_parameters()}
    state.update((name, buffer.clone()) for name, buffer in network.named_buffers())
    return functional_call(network, state, (inputs,))
