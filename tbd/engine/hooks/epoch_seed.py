"""Randomness that depends on the epoch, not on the history of the run."""

import random
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from tbd.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Reseed every generator from (seed, epoch, rank) before each training epoch.

    MMEngine's checkpoints do not hold the states of random number generators, so a
    resumed run would see other augmentations than an uninterrupted one. With this
    hook a run that resumes at an epoch boundary repeats the uninterrupted one, and
    two runs of one seed see the same data whatever their models draw.

    Data loader workers are reseeded too. Persistent workers would carry their state
    from epoch to epoch; they are replaced by new ones, which costs one fork per
    worker and epoch.
    """

    # Before any hook that may draw a random number for the epoch.
    priority = "VERY_HIGH"

    def before_train_epoch(self, runner: Runner) -> None:
        """Reseed the main process and the data loader's workers."""
        _reseed_workers(runner.train_dataloader, seed_process(runner.seed, runner.epoch))


def seed_process(*numbers: int) -> int:
    """Seed every generator of this process from some numbers and its rank.

    Returns:
        The seed, of 31 bits: MMEngine adds a worker's number, and NumPy takes 32 bits at most.
    """
    sequence = np.random.SeedSequence([*numbers, get_rank()])
    seed = int(sequence.generate_state(1)[0] >> 1)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return seed


def _reseed_workers(loader: DataLoader[Any], seed: int) -> None:
    init = loader.worker_init_fn
    if isinstance(init, partial) and "seed" in init.keywords:
        loader.worker_init_fn = partial(init.func, *init.args, **{**init.keywords, "seed": seed})
    if loader.persistent_workers:
        loader._iterator = None
