"""A teacher whose weights are laid out for the CPU teaches the same."""

import copy
import io

import pytest
import torch
from executed import TERMS, assert_equal_losses, build, losses
from probe_terms import probe, registered
from torch import nn
from torch.nn.functional import conv2d

from tbd.detectors.execution import packed_weights, preparation
from tbd.detectors.execution.packed_weights import InputSizes, PackedConv2d

PLAIN = dict(fold_norms=False)
PACKED = dict(pack_weights=True)


@pytest.fixture(autouse=True, scope="module")
def probe_terms():
    with registered():
        yield


def packed(model: nn.Module) -> list[str]:
    return [
        name
        for name, part in model.named_modules()
        if isinstance(part, PackedConv2d) and part.weight.is_mkldnn
    ]


def convolution(**options):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1, **options)).requires_grad_(False)
    images = torch.randn(2, 8, 20, 24)
    weight, expected = module[0].weight.clone(), module(images)
    with InputSizes(module) as sizes:
        module(images[:, :, :10])
        module(images)
    sizes.pack()
    return module, images, weight, expected


@pytest.mark.parametrize("name", TERMS)
def test_packed_weights_change_no_loss(name):
    model = build(name, teacher_execution=PACKED)
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
    copies = copy.deepcopy(module), torch.load(file, weights_only=False)
    for each in copies:
        assert torch.equal(each[0].weight, weight)
        torch.testing.assert_close(each(images), expected)
    assert torch.equal(module.state_dict()["0.weight"], weight)
    assert packed(module)
    assert torch.equal(module.double()[0].weight, weight.double())
    assert not packed(module)


def test_a_head_that_terms_run_too_is_left_as_it_is():
    model = build("crosskd", teacher_execution=PACKED)
    losses(model)
    names = packed(model.teacher)
    assert any(name.startswith("backbone") for name in names)
    assert not any(name.startswith("bbox_head") for name in names)


def test_unless_asked_for_nothing_is_packed():
    model = build()
    losses(model)
    assert not packed(model.teacher)


def test_in_bfloat16_nothing_is_packed():
    model = build(teacher_execution=dict(pack_weights=True, dtype="bf16"))
    losses(model)
    assert not packed(model.teacher)


def test_terms_see_maps_laid_out_as_their_shapes_say():
    distill = probe("features", "predictions", teacher_modules=["backbone.layer2"])
    model = build(distill=distill, teacher_execution=PACKED)
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
    model, expected = build(teacher_execution=PACKED), build(teacher_execution=PLAIN)
    for each in (model, expected):
        each.teacher.neck.fpn_convs[0].conv = Viewing(each.teacher.neck.fpn_convs[0].conv)
    assert_equal_losses(model, expected)
    assert not packed(model.teacher)
    assert "it would fail (view size is not compatible" in said[0]
    assert "pack_weights" in said[0]


def test_a_teacher_whose_outputs_would_change_is_not_packed(monkeypatch):
    said = []
    monkeypatch.setattr(preparation, "print_log", lambda text, **_: said.append(text))
    monkeypatch.setattr(preparation, "TOLERANCE", -1.0)
    model = build(teacher_execution=PLAIN | PACKED)
    assert_equal_losses(model, build(teacher_execution=PLAIN), tolerance=0)
    assert not packed(model.teacher)
    assert "its outputs would change by" in said[0]


def test_a_processor_without_the_operators_computes_as_before(monkeypatch):
    def missing(module, size):
        raise NotImplementedError("no such operator here")

    monkeypatch.setattr(PackedConv2d, "pack", missing)
    module, images, _, expected = convolution()
    assert type(module[0]) is nn.Conv2d
    assert torch.equal(module(images), expected)


def test_moving_a_teacher_to_where_it_is_leaves_it_packed():
    model = build(teacher_execution=PACKED)
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
    model = build(teacher_execution=PACKED)
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
