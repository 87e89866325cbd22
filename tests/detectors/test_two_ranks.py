"""Two ranks of b images learn from every term as one rank of 2·b images does, detector and all."""

import copy

import pytest
import tiny
import torch
import torch.distributed as dist
from every_term import build, types
from torch import multiprocessing

OBJECTS = (0, 0, 3, 1)
"""Boxes of each image; one rank has none at all."""


def learn(
    name: str, images: slice, repeats: int = 1, steps: int = 1
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Sum of the term's losses, and the gradient of every parameter that has one.

    Every step sees the images so many times; the losses of the steps are averaged.
    """
    model = build(name)
    data = [tiny.samples(sizes=[(64, 64)] * 4, boxes=count)[i] for i, count in enumerate(OBJECTS)]
    chosen = data[images] * repeats
    batch = model.data_preprocessor(
        dict(
            inputs=[item["inputs"] for item in chosen],
            data_samples=[item["data_samples"] for item in chosen],
        ),
        training=True,
    )
    total = torch.zeros(())
    for _ in range(steps):
        torch.manual_seed(2)
        losses = model(**copy.deepcopy(batch), mode="loss")
        loss = (
            torch.stack([v for k, v in losses.items() if k.startswith("term.loss")]).sum() / steps
        )
        loss.backward()
        total = total + loss.detach()
    gradients = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    return total, gradients


def one_rank(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    found = {name: learn(name, slice(2 * rank, 2 * rank + 2)) for name in types()}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(one_rank, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", types())
def test_two_ranks_learn_what_one_with_both_batches_learns(name, ranks):
    loss, gradients = learn(name, slice(None))
    assert loss > 0
    mean = (ranks[0][name][0] + ranks[1][name][0]) / 2
    torch.testing.assert_close(mean, loss, rtol=1e-5, atol=1e-6)
    # Where a loss does not change with a bias, its gradient is rounding alone.
    scale = max(float(gradient.abs().max()) for gradient in gradients.values())
    assert scale > 0
    for key, expected in gradients.items():
        # DistributedDataParallel averages the ranks' gradients.
        found = sum(rank[name][1].get(key, torch.zeros_like(expected)) for rank in ranks) / 2
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * scale, msg=key)


# Its deviations are the unbiased ones of a batch, which more of the same images change.
@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in types() if n != "tbd.PearsonFeatureDistillation"])
def test_accumulated_gradients_are_those_of_the_large_batch(name):
    # The same images in every part, so that normalisers over a part are those over all.
    images = slice(1, 3)
    loss, gradients = learn(name, images, repeats=2)
    parts_loss, parts = learn(name, images, steps=2)
    torch.testing.assert_close(parts_loss, loss, rtol=1e-5, atol=1e-6)
    scale = max(float(gradient.abs().max()) for gradient in gradients.values())
    for key, expected in gradients.items():
        torch.testing.assert_close(parts[key], expected, rtol=1e-5, atol=1e-5 * scale, msg=key)
