"""Sums and normalisers over the batch of every rank."""

from typing import Any

import torch
from mmdet.utils import reduce_mean
from mmengine.dist import all_reduce, get_world_size, is_distributed
from torch import Tensor


def normalizer(total: Tensor, eps: float) -> Tensor:
    """Mean of ``total`` over the ranks, their sum being at least ``eps``, as a constant.

    With DistributedDataParallel averaging gradients, ``sum / normalizer`` has
    on R ranks of b images the gradient that it has on one rank of R·b images.

    Args:
        total: This rank's sum, a scalar.
        eps: Lower bound of the sum over the ranks, positive.

    Returns:
        A scalar without gradient.
    """
    # A bound on the mean would be another bound for the same images on more ranks.
    return reduce_mean(total.detach()).clamp(min=eps / get_world_size())


def sum_over_ranks(total: Tensor) -> Tensor:
    """Sum of ``total`` over the ranks, whose gradient reaches every rank's part of it.

    Args:
        total: This rank's sums, of a shape that all ranks share.

    Returns:
        A tensor of that shape, the same on every rank.
    """
    return _SumOverRanks.apply(total) if is_distributed() else total


class _SumOverRanks(torch.autograd.Function):
    """All-reduce whose backward is one too: each rank's loss depends on the others' parts."""

    @staticmethod
    def forward(ctx: Any, total: Tensor) -> Tensor:
        total = total.clone(memory_format=torch.contiguous_format)
        all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _SumOverRanks.apply(gradients[0])
