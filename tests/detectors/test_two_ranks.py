"""Two ranks of b images learn from every term as one rank of 2·b images does, detector and all."""

from typing import Any

import pytest
import tiny
import torch
import torch.distributed as dist
from torch import multiprocessing, nn
from transformers import transformer

from tbd.distill import term_types
from tbd.registry import MODELS

OBJECTS = (0, 0, 3, 1)
"""Boxes of each image; one rank has none at all."""

OPTIONS: dict[str, dict[str, Any]] = {
    # By default its statistics are those of a rank's own images.
    "tbd.PearsonFeatureDistillation": dict(sync_statistics=True),
}


def types() -> list[str]:
    """The terms of the package, not those that other tests register."""
    return [name for name in term_types() if MODELS.get(name).__module__.startswith("tbd.")]


def two_stage(width: int = 4, channels: int = 8) -> dict[str, Any]:
    """With room for every proposal, so that none is drawn by chance."""
    config = tiny.faster_rcnn(width, channels)
    config["train_cfg"]["rcnn"]["sampler"] = dict(
        type="RandomSampler", num=4000, pos_fraction=0.5, neg_pos_ub=-1
    )
    return config


def pair(name: str) -> tuple[Any, Any]:
    reads = MODELS.get(name).reads
    if "queries" in reads:
        return transformer("deformable"), transformer("deformable", width=8)
    if "rois" in reads:
        return two_stage(), two_stage(8, 16)
    if name == "tbd.LocalizationDistillation":
        return tiny.gfl(), tiny.gfl(8, 16)
    return tiny.retinanet(stacked_convs=2), tiny.retinanet(8, 16, stacked_convs=2)


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    student, teacher = pair(name)
    trial = getattr(MODELS.get(name), "trial_options", {})
    term = dict(type=name) | trial | OPTIONS.get(name, {})
    model = MODELS.build(tiny.wrapper(student=student, teacher=teacher, distill=dict(term=term)))
    model.init_weights()
    generator = torch.Generator().manual_seed(1)
    for detector in (model.student, model.teacher):
        # Predictions of a fresh head are all alike, and teach next to nothing.
        for key, parameter in detector.named_parameters():
            if "head" in key:
                parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    model.train()
    for module in model.modules():
        # What a rank draws by chance is not what the other does.
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    model.distill.eval()
    return model


def learn(name: str, images: slice) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Sum of the term's losses, and the gradient of every parameter that has one."""
    model = build(name)
    data = [tiny.samples(sizes=[(64, 64)] * 4, boxes=count)[i] for i, count in enumerate(OBJECTS)]
    batch = model.data_preprocessor(
        dict(
            inputs=[item["inputs"] for item in data[images]],
            data_samples=[item["data_samples"] for item in data[images]],
        ),
        training=True,
    )
    torch.manual_seed(2)
    losses = model(**batch, mode="loss")
    total = torch.stack([v for k, v in losses.items() if k.startswith("term.loss")]).sum()
    total.backward()
    gradients = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    return total.detach(), gradients


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
