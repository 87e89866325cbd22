"""Noise that does not depend on how often a run was interrupted."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmengine.dist import get_rank
from torch import Tensor, nn

NoiseDistribution = Callable[[Sequence[int], torch.Generator], Tensor]
"""Draws a float32 tensor of the given shape from the given generator."""


def standard_normal(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draw from N(0, 1)."""
    return torch.randn(*shape, generator=generator)


def symmetric_uniform(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draw uniformly from [−1, 1)."""
    return 2 * torch.rand(*shape, generator=generator) - 1


class ResumableNoise(nn.Module):
    """A source of noise whose state is in the model's checkpoint.

    Draw number k of a run is a function of (seed, k, rank) alone. So a resumed run goes on with
    the noise of an uninterrupted one, at whatever iteration it was cut; every process of a
    distributed run has noise of its own although the checkpoint is written by the first; and CPU
    and GPU see the same numbers. The seed comes from torch's global generator when the model is
    built, that is, from the run's seed.

    Args:
        distribution: What to draw from.
    """

    seed: Tensor
    draws: Tensor

    def __init__(self, distribution: NoiseDistribution) -> None:
        super().__init__()
        self.distribution = distribution
        self.register_buffer("seed", torch.randint(2**31, ()))
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def forward(self, *shape: int) -> Tensor:
        """Draw noise of a shape, float32, on the device of this module."""
        generator = _generator(int(self.seed), int(self.draws), get_rank())
        self.draws += 1
        return self.distribution(shape, generator).to(self.seed.device)

    def of_images(self, image_ids: Sequence[int], *shape: int) -> Tensor:
        """Noise [N, *shape] that belongs to images, whatever their batch, process and run."""
        # Two words, so that it is no draw of a run, whose key has three.
        noise = [self.distribution(shape, _generator(0, image_id)) for image_id in image_ids]
        return torch.stack(noise).to(self.seed.device)


def _generator(*key: int) -> torch.Generator:
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(seed)
