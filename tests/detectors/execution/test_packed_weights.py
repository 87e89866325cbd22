"""A teacher whose weights are laid out for the CPU teaches the same."""

import copy
import io

import pytest
import torch
from executed import TERMS, assert_equal_losses, build, losses, norms
from probe_terms import probe, registered
from torch import nn
from torch.nn.functional import conv2d
from torch.nn.utils.prune import random_unstructured

from tbd.detectors.execution import norm_folding, packed_weights, preparation
from tbd.detectors.execution.packed_weights import PackedConv2d, Packing

PLAIN = dict(fold_norms=False, pack_weights=False)


@pytest.fixture(autouse=True, scope="module")
def probe_terms():
    with registered():
        yield


def packed(model: nn.Module) -> list[str]:
    return [name for name, part in model.named_modules() if isinstance(part, PackedConv2d)]


@torch.no_grad()
def pack(module: nn.Module, images: torch.Tensor) -> Packing:
    with Packing(module) as packing:
        module(images)
    return packing


def convolution(**options):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1, **options)).requires_grad_(False)
    images = torch.randn(2, 8, 20, 24)
    weight, expected = module[0].weight.clone(), module(images)
    pack(module, images).report()
    return module, images, weight, expected


@pytest.mark.parametrize("name", TERMS)
def test_packed_weights_change_no_loss(name):
    model = build(name)
    assert_equal_losses(model, build(name, teacher_execution=PLAIN))
    assert packed(model.teacher)
    assert not packed(model.student)


@pytest.mark.parametrize(
    "options", [{}, dict(groups=4), dict(groups=8, bias=False), dict(stride=2, dilation=2)]
)
def test_a_packed_convolution_is_the_plain_one(options):
    module, images, weight, expected = convolution(**options)
    assert packed(module)
    torch.testing.assert_close(module(images), expected)
    others = torch.randn(3, 8, 9, 7)
    torch.testing.assert_close(
        module(others), module[0]._conv_forward(others, weight, module[0].bias)
    )
    assert module(images[:0]).shape == (0, *expected.shape[1:])


def test_gradients_pass():
    module, images, weight, _ = convolution()
    found, expected = (images.clone().requires_grad_() for _ in range(2))
    module(found).square().sum().backward()
    conv2d(expected, weight, module[0].bias, padding=1).square().sum().backward()
    torch.testing.assert_close(found.grad, expected.grad)


def test_mixed_precision_holds():
    module, images, *_ = convolution()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module(images).dtype == torch.bfloat16


def test_state_copies_and_files_have_the_plain_weight():
    module, images, weight, expected = convolution()
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    for each in copy.deepcopy(module), torch.load(file, weights_only=False):
        assert type(each[0]) is nn.Conv2d
        assert torch.equal(each[0].weight, weight)
        assert torch.equal(each(images), expected)
    assert packed(module)
    assert list(module.state_dict()) == ["0.weight", "0.bias"]
    assert torch.equal(module.state_dict()["0.weight"], weight)


LOOKS = {
    "attribute": lambda module: module[0].weight,
    "parameters": lambda module: next(module.parameters()),
    "named": lambda module: dict(module.named_parameters())["0.weight"],
    "by name": lambda module: module.get_parameter("0.weight"),
    "keyed": lambda module: module[0]._parameters["weight"],
    "state": lambda module: module.state_dict(keep_vars=True)["0.weight"],
    "shallow copy": lambda module: copy.copy(module[0]).weight,
}


@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_finds_the_plain_weight_that_is_computed_with(look, monkeypatch):
    said = []
    monkeypatch.setattr(packed_weights, "print_log", lambda text, **_: said.append(text))
    module, images, weight, expected = convolution()
    state = set(module[0].__dict__) - {"_packed", "_layout", "_plain_class", "_looked"}
    found = LOOKS[look](module)
    assert type(found) is nn.Parameter
    assert torch.equal(found, weight)
    assert not found.requires_grad
    assert type(module[0]) is nn.Conv2d
    assert type(module[0]._parameters) is dict
    assert set(module[0].__dict__) == state
    assert torch.equal(module(images), expected)
    found.mul_(2)
    bias = module[0].bias[:, None, None]
    torch.testing.assert_close(module(images), 2 * (expected - bias) + bias)
    assert len(said) == 1
    assert "pack_weights=False" in said[0]


def test_a_weight_can_be_replaced_or_parametrized():
    module, images, weight, expected = convolution()
    module[0].weight = nn.Parameter(2 * weight)
    bias = module[0].bias[:, None, None]
    torch.testing.assert_close(module(images), 2 * (expected - bias) + bias)
    module, images, weight, expected = convolution()
    torch.nn.utils.parametrizations.weight_norm(module[0])
    torch.testing.assert_close(module(images), expected)
    assert not packed(module)


def test_it_says_of_itself_what_it_said():
    module, *_ = convolution()
    assert packed(module)
    assert "PackedConv2d" not in repr(module)


@pytest.mark.parametrize("move", ["double", "half", "share_memory"])
def test_moved_it_is_plain(move):
    module, _, weight, _ = convolution()
    expected = getattr(nn.Conv2d(8, 16, 3), move)().weight
    getattr(module, move)()
    assert torch.equal(module[0].weight, weight.to(expected.dtype))
    assert module[0].weight.is_shared() == expected.is_shared()
    assert not packed(module)


def test_what_it_computes_does_not_depend_on_the_batch_that_it_was_packed_on():
    for options in ({}, dict(stride=2), dict(groups=8)):
        results = []
        for size in ((1, 8, 9, 7), (4, 8, 64, 96)):
            torch.manual_seed(0)
            module = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1, **options)).requires_grad_(False)
            pack(module, torch.randn(size))
            images = torch.randn(2, 8, 33, 40, generator=torch.Generator().manual_seed(1))
            results.append(module(images))
        assert torch.equal(*results)


def test_compiled_it_computes_the_same():
    module, images, _, expected = convolution()
    compiled = torch.compile(module, backend="eager")
    torch.testing.assert_close(compiled(images), expected)


class Scaled(nn.Conv2d):
    def forward(self, x):
        return 2 * super().forward(x)


def shared(module):
    module[1].weight = module[0].weight


def sharing_memory(module):
    module[1].weight = nn.Parameter(module[0].weight.data, requires_grad=False)


def patched(module):
    module[0].forward = lambda x: 2 * nn.functional.conv2d(x, module[0].weight, padding=1)


def pruned(module):
    random_unstructured(module[0], "weight", amount=0.5)


def weight_norm(module):
    torch.nn.utils.parametrizations.weight_norm(module[0])


def old_spectral_norm(module):
    torch.nn.utils.spectral_norm(module[0])
    module.eval()


def of_another_class(module):
    module[0].__class__ = Scaled


def trained(module):
    module[0].weight.requires_grad_()


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (shared, []),
        (sharing_memory, []),
        (patched, ["1"]),
        (pruned, ["1"]),
        (weight_norm, ["1"]),
        (old_spectral_norm, ["1"]),
        (of_another_class, ["1"]),
        (trained, ["1"]),
    ],
)
def test_a_weight_that_is_more_than_a_weight_stays_as_it_is(change, left):
    torch.manual_seed(0)
    layers = [nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(2)]
    module, images = nn.Sequential(*layers).requires_grad_(False), torch.randn(2, 8, 20, 24)
    change(module)
    expected = module(images)
    pack(module, images)
    assert packed(module) == left
    torch.testing.assert_close(module(images), expected)


def test_hooks_see_each_call_once_and_nothing_that_is_tried():
    module, images, *_ = convolution()
    module[0].unpack()
    seen = []
    module[0].register_forward_hook(lambda module, args, output: seen.append((args, output)))
    module[0].register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    pack(module, images)
    assert packed(module)
    assert len(seen) == 1
    torch.testing.assert_close(seen[0][0][0], images + 1)


def test_without_onednn_nothing_is_packed():
    module, images, *_ = convolution()
    module[0].unpack()
    with torch.backends.mkldnn.flags(enabled=False):
        pack(module, images)
    assert not packed(module)


def test_a_head_that_terms_run_too_is_left_as_it_is():
    model = build("crosskd")
    losses(model)
    names = packed(model.teacher)
    assert any(name.startswith("backbone") for name in names)
    assert not any(name.startswith("bbox_head") for name in names)


def test_switched_off_nothing_is_packed():
    model = build(teacher_execution=dict(pack_weights=False))
    losses(model)
    assert not packed(model.teacher)


def test_in_bfloat16_nothing_is_packed():
    model = build(teacher_execution=dict(dtype="bf16"))
    losses(model)
    assert not packed(model.teacher)


def test_terms_see_maps_laid_out_as_their_shapes_say():
    distill = probe("features", "predictions", teacher_modules=["backbone.layer2"])
    model = build(distill=distill)
    losses(model)
    losses(model)
    assert packed(model.teacher)
    for _, teacher in model.distill["probe"].seen:
        maps = (*teacher.features, *teacher.predictions.cls_logits)
        assert all(level.is_contiguous() for level in (*maps, *teacher.outputs["backbone.layer2"]))


class Viewing(nn.Module):
    """A layer that takes a view which only plainly laid out maps have."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.layer(x)
        out.view(len(out), -1)
        return out


def test_a_teacher_that_needs_the_plain_layout_keeps_it_with_a_warning(monkeypatch):
    said = []
    monkeypatch.setattr(preparation, "print_log", lambda text, **_: said.append(text))
    model, expected = build(), build(teacher_execution=PLAIN)
    for each in (model, expected):
        each.teacher.neck.fpn_convs[0].conv = Viewing(each.teacher.neck.fpn_convs[0].conv)
    assert_equal_losses(model, expected)
    assert not packed(model.teacher)
    assert "it would fail (view size is not compatible" in said[0]
    assert "pack_weights" in said[0]


@pytest.mark.parametrize("wrong", [("norms",), ("weights",), ("norms", "weights")])
def test_of_what_would_change_the_outputs_nothing_is_done(wrong, monkeypatch):
    said = []
    monkeypatch.setattr(preparation, "print_log", lambda text, **_: said.append(text))
    if "norms" in wrong:
        folded = norm_folding._folded
        half = lambda *parts: [nn.Parameter(0.5 * p, requires_grad=False) for p in folded(*parts)]  # noqa: E731
        monkeypatch.setattr(norm_folding, "_folded", half)
    if "weights" in wrong:
        compute = PackedConv2d.forward
        monkeypatch.setattr(packed_weights, "TOLERANCE", float("inf"))
        monkeypatch.setattr(PackedConv2d, "forward", lambda self, x: 0.5 * compute(self, x))
    model = build()
    assert_equal_losses(model, build(teacher_execution=PLAIN))
    assert bool(norms(model.teacher)) == ("norms" in wrong)
    assert bool(packed(model.teacher)) == ("weights" not in wrong)
    assert len(said) == len(wrong)
    assert all(what in text.partition(":")[0] for what, text in zip(wrong, said, strict=True))


def test_without_norms_to_fold_the_first_batch_is_run_once():
    model = build(teacher_execution=dict(fold_norms=False))
    calls = []
    model.teacher.backbone.register_forward_hook(lambda *_: calls.append(1))
    losses(model)
    assert packed(model.teacher)
    assert len(calls) == 1


@pytest.mark.parametrize("failing", ["pack", "forward"])
def test_a_processor_without_the_operators_computes_as_before(failing, monkeypatch):
    def missing(*args):
        raise NotImplementedError("no such operator here")

    monkeypatch.setattr(PackedConv2d, failing, missing)
    module, images, weight, expected = convolution()
    assert type(module[0]) is nn.Conv2d
    assert torch.equal(module[0].weight, weight)
    assert torch.equal(module(images), expected)


def test_moving_a_teacher_to_where_it_is_leaves_it_packed():
    model = build()
    losses(model)
    names = packed(model.teacher)
    model.to("cpu")
    assert packed(model.teacher) == names
    copied = copy.deepcopy(model)
    copied.to("cpu")
    assert_equal_losses(copied.double().float(), model)


def test_packed_weights_can_be_loaded_over():
    module, images, *_ = convolution()
    other = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1))
    module.load_state_dict(other.state_dict())
    assert torch.equal(module(images), other(images))


def test_under_mixed_precision_nothing_is_packed():
    model = build()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses(model)
    assert not packed(model.teacher)


def test_what_changes_the_outputs_is_undone_with_a_warning(monkeypatch):
    said = []
    monkeypatch.setattr(packed_weights, "print_log", lambda text, **_: said.append(text))
    monkeypatch.setattr(packed_weights, "TOLERANCE", -1.0)
    module, images, weight, expected = convolution()
    assert not packed(module)
    assert torch.equal(module[0].weight, weight)
    assert torch.equal(module(images), expected)
    assert "1 of 1 convolutions" in said[0]
    assert "pack_weights" in said[0]
