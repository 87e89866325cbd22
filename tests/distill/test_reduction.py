import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

from tbd.distill import harmony_distillation_loss, task_decoupled_feature_loss
from tbd.distill.reduction import normalizer


def test_without_ranks_it_is_the_bounded_sum():
    assert normalizer(torch.tensor(3.0), 1e-6) == 3
    assert normalizer(torch.tensor(0.0), 1e-6) == pytest.approx(1e-6)


def test_it_is_a_constant():
    assert not normalizer(torch.tensor(3.0, requires_grad=True), 1e-6).requires_grad


def inputs():
    generator = torch.Generator().manual_seed(0)
    # Images of very different weight, so that a mean of local means would differ.
    weight = (
        torch.rand(4, 2, 3, 3, generator=generator)
        * torch.tensor([0.0, 1, 5, 9])[:, None, None, None]
    )
    return dict(
        score_s=torch.rand(4, 2, 3, 3, generator=generator),
        score_t=torch.rand(4, 2, 3, 3, generator=generator),
        weight=weight,
        feat_s=torch.rand(4, 5, 3, 3, generator=generator),
        feat_t=torch.rand(4, 5, 3, 3, generator=generator),
        task_weights=torch.rand(4, 2, generator=generator),
    )


def gradients(data):
    score_s = data["score_s"].requires_grad_()
    feat_s = data["feat_s"].requires_grad_()
    loss = harmony_distillation_loss(score_s, data["score_t"], data["weight"])
    loss = loss + harmony_distillation_loss(score_s, data["score_t"], None)
    mask = data["weight"].amax(1)
    loss = loss + sum(
        task_decoupled_feature_loss(feat_s, data["feat_t"], mask, mask.sqrt(), data["task_weights"])
    )
    return torch.autograd.grad(loss, (score_s, feat_s))


def one_rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    part = {key: value[2 * rank : 2 * rank + 2].clone() for key, value in inputs().items()}
    torch.save(gradients(part), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_have_the_gradient_of_one_with_both_batches(tmp_path):
    multiprocessing.spawn(one_rank, (str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for index, expected in enumerate(gradients(inputs())):
        # DistributedDataParallel averages the ranks' gradients.
        torch.testing.assert_close(torch.cat([rank[index] for rank in ranks]) / 2, expected)
