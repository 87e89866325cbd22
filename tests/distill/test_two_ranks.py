"""Two ranks of b images learn from feature terms as one rank of 2·b images does."""

from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from distilled import feature_spec
from torch import multiprocessing
from views import ground_truth, view

from tbd.distill import HeadSpec, TowerSpec
from tbd.predictions import DensePredictions, HeadFeatures
from tbd.registry import MODELS

IMAGES, CHANNELS, CLASSES, SIZE = 4, 6, 3, (6, 5)

TERMS = {
    "PKD": dict(type="tbd.PearsonFeatureDistillation", sync_statistics=True),
    "CWD": dict(type="tbd.ChannelWiseDistillation"),
    # Each rank draws a mask of its own.
    "MGD, nothing hidden": dict(type="tbd.MaskedGenerativeDistillation", mask_ratio=0.0),
    "FGD": dict(type="tbd.FocalGlobalDistillation"),
    "FitNets": dict(type="tbd.FeatureImitation"),
    "FGFI": dict(type="tbd.FeatureImitation", region="near_objects"),
    "DeFeat": dict(type="tbd.FeatureImitation", region="decoupled"),
    "score-weighted": dict(type="tbd.ScoreWeightedFeatureDistillation"),
    "FRS": dict(type="tbd.FeatureRichnessDistillation"),
    "PGD": dict(type="tbd.PredictionGuidedDistillation", top_k=5),
    "FT": dict(type="tbd.FactorTransfer", allow_random_paraphraser=True),
}


def spec(role):
    towers = TowerSpec((CHANNELS,), (CHANNELS,))
    head = HeadSpec("bbox_head", "Head", CLASSES, (1,), "layout", towers=towers)
    return replace(feature_spec(role, CHANNELS), head=head)


def seen(seed, images):
    """A detector's view of some of the images, whose objects are of very different number."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(IMAGES, *shape, generator=generator, dtype=torch.float64)[images]

    low = 20 * rand(8, 2)
    objects = torch.cat([low, low + 5 + 15 * rand(8, 2)], dim=2)
    counts = torch.tensor([0, 1, 3, 8])[images].tolist()
    boxes = [own[:count] for own, count in zip(objects, counts, strict=True)]
    labels = [torch.arange(count) % CLASSES for count in counts]
    # Images that differ in the strength of their features and scores as well.
    strength = torch.tensor([0.2, 1, 2, 5])[images][:, None, None, None]
    features, cls, reg = ((strength * rand(CHANNELS, *SIZE)).requires_grad_() for _ in range(3))
    logits = (strength * rand(CLASSES, *SIZE) - 2).requires_grad_()
    predicted = rand(SIZE[0] * SIZE[1], 4).cumsum(dim=2) * 12
    parts = view(
        features=(features,),
        predictions=DensePredictions([logits], CLASSES, lambda: [predicted]),
        head_features=HeadFeatures(((cls,),), ((reg,),)),
    )
    gt = ground_truth(boxes, labels, size=(8 * SIZE[0], 8 * SIZE[1]))
    return replace(parts, gt=gt), (features, cls, reg, logits)


def gradients(config, images):
    """Gradients of the student's tensors and of the term's parameters."""
    torch.manual_seed(0)
    term = MODELS.build(dict(config)).eval()
    term.connect(spec("student"), spec("teacher"))
    term.double()
    # Layers that start at zero would pass nothing on.
    for parameter in term.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(1))
    student, tensors = seen(0, images)
    teacher, _ = seen(1, images)
    losses = [v for k, v in term(student, replace(teacher, gt=student.gt)).items() if "loss" in k]
    wanted = (*tensors, *(p for p in term.parameters() if p.requires_grad))
    found = torch.autograd.grad(torch.stack(losses).sum(), wanted, allow_unused=True)
    found = [torch.zeros_like(t) if g is None else g for g, t in zip(found, wanted, strict=True)]
    return found[: len(tensors)], found[len(tensors) :]


def one_rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    images = slice(2 * rank, 2 * rank + 2)
    torch.save(
        {name: gradients(config, images) for name, config in TERMS.items()}, f"{folder}/{rank}.pt"
    )
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(one_rank, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", TERMS)
def test_two_ranks_have_the_gradient_of_one_with_both_batches(name, ranks):
    tensors, parameters = gradients(TERMS[name], slice(None))
    assert any(gradient.abs().sum() > 0 for gradient in tensors)
    # DistributedDataParallel averages the ranks' gradients.
    for index, expected in enumerate(tensors):
        torch.testing.assert_close(
            torch.cat([rank[name][0][index] for rank in ranks]) / 2, expected
        )
    for index, expected in enumerate(parameters):
        torch.testing.assert_close(sum(rank[name][1][index] for rank in ranks) / 2, expected)
