from dataclasses import replace

import pytest
import tiny
import torch
from distilled import distilled, feature_spec
from reference import reference
from views import view

from tbd.distill import (
    HeadSpec,
    PredictionGuidedDistillation,
    TowerSpec,
    guided_box_loss,
    guided_classification_loss,
)
from tbd.distill.attention import local_channel_attention, spatial_attention
from tbd.distill.key_regions import key_regions
from tbd.predictions import DensePredictions, HeadFeatures


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def masks(seed=2):
    foreground = random(2, 4, 5, seed=seed).relu()
    return foreground, (foreground == 0).double()


def spec(role, towers=((6, 6), (6, 6)), classes=3, strides=((8, 8),)):
    head = HeadSpec("bbox_head", "Head", classes, (1,), "layout", towers=TowerSpec(*towers))
    return replace(feature_spec(role, 4), head=head, strides=strides)


@pytest.mark.parametrize("image", [0, 1])
def test_class_losses_are_those_of_the_public_code(image):
    arrays = {
        name: values[image : image + 1] if values.dim() else values
        for name, values in reference("prediction_guided").items()
    }
    feat_s = arrays["feat_s"].requires_grad_()
    foreground, background, attention = guided_classification_loss(
        feat_s, arrays["feat_t"], arrays["foreground"], arrays["background"], 0.8
    )
    loss = 1.5 * (0.08 * foreground + 0.04 * background) + 0.0008 * attention
    (gradient,) = torch.autograd.grad(loss, feat_s)
    torch.testing.assert_close(loss, arrays["cls_loss"].squeeze(), rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, arrays["cls_gradient"], rtol=1e-6, atol=1e-9)


def test_box_losses_are_those_of_the_public_code():
    arrays = reference("prediction_guided")
    feat_s = arrays["feat_s"].requires_grad_()
    feature, attention = guided_box_loss(feat_s, arrays["feat_t"], arrays["foreground"], 0.8)
    loss = 0.128 * feature + 0.0008 * attention
    (gradient,) = torch.autograd.grad(loss, feat_s)
    torch.testing.assert_close(loss, arrays["reg_loss"], rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, arrays["reg_gradient"], rtol=1e-6, atol=1e-9)


def test_losses_equal_the_formulas_in_loops():
    feat_s, feat_t = random(2, 3, 4, 5).requires_grad_(), random(2, 3, 4, 5, seed=1)
    foreground, background = masks()
    channels_s, channels_t = (local_channel_attention(f, 0.8) for f in (feat_s, feat_t))
    spatial_s, spatial_t = (spatial_attention(f, 0.8) for f in (feat_s, feat_t))
    expected = [0.0, 0.0, (spatial_s - spatial_t).abs().sum().item() / 2, 0.0, 0.0]
    positives = (foreground > 0).sum().item()
    for n, c, i, j in torch.cartesian_prod(*map(torch.arange, (2, 3, 4, 5))).tolist():
        squared = (feat_t[n, c, i, j] - feat_s[n, c, i, j]).item() ** 2
        squared *= channels_t[n, c, i, j].item()
        for part, mask in enumerate((foreground, background)):
            weight = mask[n, i, j].item() / (mask[n] != 0).sum().item()
            expected[part] += weight * spatial_t[n, i, j].item() * squared / 2
        apart = (channels_s - channels_t)[n, c, i, j].abs().item()
        expected[2] += apart / (2 * 4 * 5)
        if foreground[n, i, j] > 0:
            expected[3] += foreground[n, i, j].item() * squared / 3 / positives
            expected[4] += apart / positives

    def losses(features):
        return (
            *guided_classification_loss(features, feat_t, foreground, background, 0.8),
            *guided_box_loss(features, feat_t, foreground, 0.8),
        )

    assert [loss.item() for loss in losses(feat_s)] == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(losses, feat_s)


def test_a_batch_with_a_single_key_location_has_its_loss():
    feat_s, feat_t = random(2, 3, 4, 5), random(2, 3, 4, 5, seed=1)
    foreground = torch.zeros(2, 4, 5, dtype=torch.float64)
    foreground[1, 2, 3] = 0.4
    channels_s, channels_t = (local_channel_attention(f, 0.8)[1, :, 2, 3] for f in (feat_s, feat_t))
    squared = (feat_t - feat_s)[1, :, 2, 3] ** 2
    expected = 0.4 * (channels_t * squared).mean(), (channels_s - channels_t).abs().sum()
    torch.testing.assert_close(guided_box_loss(feat_s, feat_t, foreground, 0.8), expected)


def test_coarser_levels_of_the_class_tower_weigh_more():
    specs = [
        replace(
            feature_spec(role, 4, 4), head=replace(spec(role).head, anchors_per_location=(1, 1))
        )
        for role in ("student", "teacher")
    ]
    features = [
        [
            tuple(random(1, 6, *size, seed=seed + shift) for size in ((8, 8), (4, 4)))
            for shift in (0, 9)
        ]
        for seed in (0, 1)
    ]
    boxes = [torch.tensor([[8.0, 8.0, 40.0, 40.0]])]
    predictions = DensePredictions(
        [random(1, 3, *size, seed=5) for size in ((8, 8), (4, 4))],
        3,
        lambda: [boxes[0].double().repeat(count, 1)[None] for count in (64, 16)],
    )
    student, teacher = (
        view(
            boxes,
            predictions=predictions,
            head_features=HeadFeatures((cls, cls), (reg, reg)),
        )
        for cls, reg in features
    )
    term = PredictionGuidedDistillation(top_k=5, depth=1)
    term.connect(*specs)
    found = term(student, teacher)
    regions = [key_regions(teacher, specs[1], exponent, 5) for exponent in (0.8, 0.6)]
    expected = [0.0] * 4
    for level, weight in enumerate((1.0, 1.25)):
        pairs = [[side[tower][level] for side in features] for tower in range(2)]
        own = (regions[0].weights[level], regions[0].background[level])
        foreground, background, apart = guided_classification_loss(*pairs[0], *own, 0.8)
        box, box_apart = guided_box_loss(*pairs[1], regions[1].weights[level], 0.8)
        parts = (
            0.04 * weight * foreground,
            0.02 * weight * background,
            0.064 * box,
            8e-4 * (apart + box_apart),
        )
        expected = [total + part.item() for total, part in zip(expected, parts, strict=True)]
    names = ("cls", "background", "box", "attention")
    assert [found[f"loss_{name}"].item() for name in names] == pytest.approx(expected, rel=1e-9)
    assert all(expected)


def test_without_objects_only_background_and_attention_are_learned():
    feat_s = random(2, 3, 1, 1).requires_grad_()
    feat_t = random(2, 3, 1, 1, seed=1)
    nowhere, everywhere = torch.zeros(2, 1, 1).double(), torch.ones(2, 1, 1).double()
    foreground, background, attention = guided_classification_loss(
        feat_s, feat_t, nowhere, everywhere, 0.8
    )
    assert foreground == 0
    assert background > 0
    assert attention > 0
    assert [loss.item() for loss in guided_box_loss(feat_s, feat_t, nowhere, 0.8)] == [0, 0]


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        (spec("student"), spec("teacher", classes=5), "3 classes.* 5"),
        (spec("student", ((6,), (6, 6))), spec("teacher"), r"depth=2.*student's head have 1"),
        (spec("student"), spec("teacher", strides=((4, 4),)), r"\[\(8, 8\)\].*\[\(4, 4\)\]"),
    ],
)
def test_heads_that_do_not_suit_are_refused(student, teacher, message):
    with pytest.raises(ValueError, match=message):
        PredictionGuidedDistillation(depth=2).connect(student, teacher)


@pytest.mark.parametrize(
    "options",
    [
        {"cls_weight": -1.0},
        {"temperature": 0.0},
        {"top_k": 0},
        {"depth": 0},
        {"cls_exponent": 1.5},
        {"box_exponent": -0.1},
    ],
)
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}="):
        PredictionGuidedDistillation(**options)


@pytest.mark.parametrize("mask", [(1, 3, 1), (1, 1, 3, 3)])
def test_shapes_are_not_broadcast(mask):
    features = torch.zeros(1, 2, 3, 3)
    with pytest.raises(ValueError, match=r"must be \[1, 3, 3\]"):
        guided_box_loss(features, features, torch.zeros(mask), 0.8)


def test_a_detector_is_distilled():
    term = dict(type="tbd.PredictionGuidedDistillation")
    losses = distilled(tiny.retinanet(), tiny.retinanet(width=8, channels=16), term)
    assert all(losses[f"loss_{part}"] > 0 for part in ("cls", "background", "box", "attention"))


def test_an_rpn_without_towers_is_refused():
    term = dict(type="tbd.PredictionGuidedDistillation")
    with pytest.raises(ValueError, match=r"distill\.term.*separate class and box towers"):
        distilled(tiny.faster_rcnn(), tiny.faster_rcnn(8, 16), term)
