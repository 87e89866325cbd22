"""Sums and normalisers over the batch of every rank."""

from mmdet.utils import reduce_mean
from torch import Tensor


def normalizer(total: Tensor, eps: float) -> Tensor:
    """Mean of ``total`` over the ranks, at least ``eps``, as a constant.

    With DistributedDataParallel averaging gradients, ``sum / normalizer`` has
    on R ranks of b images the gradient that it has on one rank of R·b images.

    Args:
        total: This rank's sum, a scalar.
        eps: Lower bound, positive.

    Returns:
        A scalar without gradient.
    """
    return reduce_mean(total.detach()).clamp(min=eps)
