import random
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset.utils import worker_init_fn
from torch.utils.data import DataLoader, Dataset

from tbd.engine import EpochSeedHook


class Noise(Dataset):
    """Draws its samples from all three generators of the process that loads them."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.tensor([random.random(), np.random.rand(), torch.rand(()).item()])


def make_loader(workers=0, persistent=False, seed=5):
    return DataLoader(
        Noise(),
        batch_size=2,
        num_workers=workers,
        persistent_workers=persistent,
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=partial(worker_init_fn, num_workers=workers, rank=0, seed=seed),
    )


def run(epochs, loader, seed=5):
    """Load the given epochs one after the other, as a training loop does."""
    batches = []
    for epoch in epochs:
        runner = SimpleNamespace(seed=seed, epoch=epoch, train_dataloader=loader)
        EpochSeedHook().before_train_epoch(runner)
        batches.append(torch.cat(list(loader)))
    return batches


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_a_run_resumed_at_an_epoch_repeats_the_uninterrupted_one(workers, persistent):
    whole = run([0, 1, 2], make_loader(workers, persistent))
    resumed = run([1, 2], make_loader(workers, persistent))
    assert torch.equal(whole[1], resumed[0])
    assert torch.equal(whole[2], resumed[1])


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, True)])
def test_epochs_and_seeds_differ(workers, persistent):
    first, second = run([0, 1], make_loader(workers, persistent))
    (other,) = run([0], make_loader(workers, persistent), seed=6)
    for one, two in ((first, second), (first, other)):
        assert not (one == two).any()


def test_ranks_differ(monkeypatch):
    (first,) = run([0], make_loader())
    monkeypatch.setattr("tbd.engine.hooks.epoch_seed.get_rank", lambda: 1)
    (second,) = run([0], make_loader())
    assert not (first == second).any()


def test_a_foreign_worker_init_fn_is_kept():
    loader = make_loader()
    loader.worker_init_fn = print
    run([0], loader)
    assert loader.worker_init_fn is print
