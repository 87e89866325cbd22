"""A discriminator trains in the one backward pass of a step: no second optimizer is needed."""

import copy

import pytest
import tiny
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from probe_terms import _bce, registered
from torch import multiprocessing
from torch.testing import assert_close

from tbd.registry import MODELS

TERMS = dict(hd=None, tfd=None, gan=dict(type="tbd.TestingAdversarial"))


@pytest.fixture(autouse=True, scope="module")
def probe_terms():
    with registered():
        yield


def build():
    torch.manual_seed(0)
    model = MODELS.build(tiny.wrapper(distill=TERMS))
    model.init_weights()
    return model.train()


def raw(batch):
    return dict(
        inputs=[item["inputs"] for item in batch],
        data_samples=[item["data_samples"] for item in batch],
    )


def losses_of(model, data):
    losses = model(**copy.deepcopy(data), mode="loss")
    return losses["gan.loss_student"], losses["gan.loss_discriminator"]


def test_each_side_gets_the_gradient_of_its_own_loss():
    model = build()
    data = tiny.batch(model)
    term = model.distill["gan"]
    seen = []
    term.register_forward_pre_hook(lambda _, views: seen.append(views))
    sum(losses_of(model, data)).backward()
    (student, teacher) = seen[0]
    fake, real = term.adaptation(student.features[0]), teacher.features[0]
    own = _bce(term.discriminator(fake.detach()), 0.0) + _bce(term.discriminator(real), 1.0)
    expected = torch.autograd.grad(own, list(term.discriminator.parameters()))
    for parameter, gradient in zip(term.discriminator.parameters(), expected, strict=True):
        assert_close(parameter.grad, gradient)
    fooling = _bce(term.discriminator(term.adaptation(student.features[0].detach())), 1.0)
    expected = torch.autograd.grad(fooling, list(term.adaptation.parameters()))
    for parameter, gradient in zip(term.adaptation.parameters(), expected, strict=True):
        assert_close(parameter.grad, gradient)


def test_its_learning_rate_is_set_by_the_name_of_its_parameters():
    model = build()
    wrapper = build_optim_wrapper(
        model,
        dict(
            type="OptimWrapper",
            optimizer=dict(type="AdamW", lr=0.01),
            paramwise_cfg=dict(custom_keys={"distill.gan.discriminator": dict(lr_mult=0.1)}),
            clip_grad=dict(max_norm=1.0),
        ),
    )
    rates = {
        id(parameter): group["lr"]
        for group in wrapper.param_groups
        for parameter in group["params"]
    }
    for name, parameter in model.named_parameters():
        expected = 0.001 if name.startswith("distill.gan.discriminator") else 0.01
        assert rates[id(parameter)] == pytest.approx(expected), name
    before = copy.deepcopy(model.distill["gan"].state_dict())
    model.train_step(raw(tiny.samples()), wrapper)
    assert all(not torch.equal(v, before[k]) for k, v in model.distill["gan"].state_dict().items())


def test_accumulated_gradients_are_those_of_the_mean_of_the_steps():
    model = build()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    reference = copy.deepcopy(model)
    batches = [raw(tiny.samples()), raw(tiny.samples(sizes=[(64, 48)]))]
    gradients = [torch.zeros_like(p) for p in reference.distill.parameters()]
    for data in batches:
        reference.zero_grad()
        processed = reference.data_preprocessor(copy.deepcopy(data), training=True)
        loss, _ = reference.parse_losses(reference(**processed, mode="loss"))
        loss.backward()
        for gradient, parameter in zip(gradients, reference.distill.parameters(), strict=True):
            gradient += parameter.grad / 2
    start = [p.detach().clone() for p in model.distill.parameters()]
    for data in batches:
        model.train_step(copy.deepcopy(data), wrapper)
    for before, after, gradient in zip(start, model.distill.parameters(), gradients, strict=True):
        assert_close(after.detach(), before - 0.1 * gradient, rtol=1e-4, atol=1e-6)


def test_half_precision_leaves_the_terms_gradients_in_float32():
    model = build()
    data = tiny.batch(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = losses_of(model, data)
    assert all(loss.dtype == torch.float32 for loss in losses)
    sum(losses).backward()
    for parameter in model.distill.parameters():
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().sum() > 0


def step(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    with registered():
        model = MMDistributedDataParallel(build(), device_ids=None, broadcast_buffers=False)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    # A second step fails if the first left a gradient unreduced.
    for number in range(2):
        model.train_step(raw([tiny.samples()[rank]]), wrapper)
        torch.save(model.module.distill.state_dict(), f"{folder}/{rank}_{number}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_agree_and_equal_one_rank_with_both_images(tmp_path):
    multiprocessing.spawn(step, (str(tmp_path),), nprocs=2)
    first, second = (
        [torch.load(tmp_path / f"{rank}_{number}.pt") for rank in range(2)] for number in range(2)
    )
    model = build()
    model.train_step(raw(tiny.samples()), OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)))
    for key, value in model.distill.state_dict().items():
        assert_close(first[0][key], value, rtol=1e-4, atol=1e-6)
        assert torch.equal(second[0][key], second[1][key])
        assert not torch.equal(first[0][key], second[0][key])
