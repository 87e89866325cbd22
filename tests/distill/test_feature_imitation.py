from dataclasses import replace

import pytest
import tiny
import torch
from distilled import distilled, feature_spec, half_precision_views
from reference import reference
from views import ground_truth, view

from tbd.distill import FeatureImitation, View, imitation_loss
from tbd.distill.gt_masks import near_object_masks

BOXES = [torch.tensor([[8.0, 8.0, 24.0, 33.0]]), torch.zeros(0, 4)]


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def views(channels_s=4, channels_t=4):
    gt = ground_truth(BOXES, size=(64, 64))
    return [
        View(gt, features=(random(2, channels, 8, 8, seed=seed),))
        for seed, channels in enumerate((channels_s, channels_t))
    ]


def connected(channels_s=(4,), channels_t=(4,), **options):
    term = FeatureImitation(**options)
    term.connect(feature_spec("student", *channels_s), feature_spec("teacher", *channels_t))
    return term.double()


@pytest.mark.parametrize("channel_reduction", ["sum", "mean"])
def test_loss_equals_the_formula_in_loops(channel_reduction):
    feat_s, feat_t = random(2, 3, 4, 5).requires_grad_(), random(2, 3, 4, 5, seed=1)
    mask = (random(2, 4, 5, seed=2) > 0).double()
    total = 0.0
    for n, i, j in torch.cartesian_prod(*map(torch.arange, (2, 4, 5))).tolist():
        squared = [(feat_s[n, c, i, j] - feat_t[n, c, i, j]).item() ** 2 for c in range(3)]
        location = sum(squared) if channel_reduction == "sum" else sum(squared) / 3
        total += mask[n, i, j].item() * location
    loss = imitation_loss(feat_s, feat_t, mask, channel_reduction)
    assert loss.item() == pytest.approx(total / (2 * mask.sum().item()), rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda f: imitation_loss(f, feat_t, mask, channel_reduction), feat_s
    )


def test_objects_and_background_cost_what_they_do_in_the_public_code_of_defeat():
    arrays = reference("decoupled_features")
    feats = [arrays[f"feat_s_{level}"].requires_grad_() for level in (0, 1)]
    masks = [arrays[f"mask_{level}"] for level in (0, 1)]

    def mean_of_levels(masks):
        losses = [
            imitation_loss(feat_s, arrays[f"feat_t_{level}"], mask)
            for level, (feat_s, mask) in enumerate(zip(feats, masks, strict=True))
        ]
        return sum(losses) / len(losses)

    objects = 3 * mean_of_levels(masks)
    background = 12 * mean_of_levels([1 - mask for mask in masks])
    torch.testing.assert_close(objects, arrays["loss_object"].squeeze(), rtol=1e-10, atol=0)
    torch.testing.assert_close(background, arrays["loss_background"].squeeze(), rtol=1e-10, atol=0)
    gradients = torch.autograd.grad(objects + background, feats)
    for level, gradient in enumerate(gradients):
        torch.testing.assert_close(gradient, arrays[f"gradient_{level}"], rtol=1e-10, atol=1e-14)


def test_near_objects_cost_what_they_do_in_the_public_code_of_fgfi():
    arrays = reference("fine_grained")
    gt = ground_truth([arrays["boxes_0"], arrays["boxes_1"]], size=(72, 80))
    student, teacher = (
        View(gt, features=(features,))
        for features in (arrays["feat_s"].requires_grad_(), arrays["feat_t"])
    )
    torch.testing.assert_close(near_object_masks(student, 0.5)[0].double(), arrays["mask"])
    term = connected((3,), (3,), region="near_objects", channel_reduction="sum", loss_weight=0.01)
    loss = term(student, teacher)["loss_feature"]
    (gradient,) = torch.autograd.grad(loss, student.features[0])
    torch.testing.assert_close(loss, arrays["loss"], rtol=1e-10, atol=0)
    torch.testing.assert_close(gradient, arrays["gradient"], rtol=1e-10, atol=1e-14)


def test_an_empty_mask_costs_nothing():
    feat_s = random(2, 3, 4, 5).requires_grad_()
    loss = imitation_loss(feat_s, random(2, 3, 4, 5, seed=1), torch.zeros(2, 4, 5))
    assert loss == 0
    assert (torch.autograd.grad(loss, feat_s)[0] == 0).all()


def test_everywhere_is_half_the_mean_squared_difference():
    student, teacher = views()
    expected = (student.features[0] - teacher.features[0]).square().mean() / 2
    result = connected(loss_weight=3.0)(student, teacher)
    torch.testing.assert_close(result["loss_feature"], 3 * expected)


def test_decoupled_regions_have_means_and_weights_of_their_own():
    student, teacher = views()
    squared = (student.features[0] - teacher.features[0]).square().mean(dim=1) / 2
    inside = torch.zeros(2, 8, 8, dtype=torch.bool)
    inside[0, 1:5, 1:3] = True
    result = connected(region="decoupled", background_weight=5.0)(student, teacher)
    torch.testing.assert_close(result["loss_object"], squared[inside].mean())
    torch.testing.assert_close(result["loss_background"], 5 * squared[~inside].mean())


def test_near_objects_leave_the_rest_free():
    student, teacher = views()
    student.features[0].requires_grad_()
    result = connected(region="near_objects", channel_reduction="sum")(student, teacher)
    (gradient,) = torch.autograd.grad(result["loss_feature"], student.features[0])
    reached = gradient.abs().sum(dim=1) > 0
    assert reached[0, 2, 2]
    assert not reached[0, 7, 7]
    assert not reached[1].any()


def test_half_precision_and_single_locations_are_compared_in_float32():
    term = connected((4, 4), (4, 4), region="decoupled").float()
    student, teacher = half_precision_views([(1, 4, 5, 4), (1, 4, 1, 1)], boxes=BOXES[:1])
    losses = term(student, teacher)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())


def spec_of(role, path, *shapes):
    return replace(feature_spec(role, 8), outputs={path: shapes})


def test_outputs_of_named_modules_are_imitated_call_by_call():
    term = FeatureImitation(student_modules=["a"], teacher_modules=["b"])
    assert term.reads == frozenset()
    term.connect(
        spec_of("student", "a", (1, 3, 8, 8), (1, 3, 4, 4)),
        spec_of("teacher", "b", (1, 3, 8, 8), (1, 3, 4, 4)),
    )
    maps_s = (random(2, 3, 8, 8), random(2, 3, 4, 4))
    maps_t = (random(2, 3, 8, 8, seed=1), random(2, 3, 4, 4, seed=1))
    result = term(view(BOXES, outputs={"a": maps_s}), view(BOXES, outputs={"b": (maps_t,)}))
    expected = sum((s - t).square().mean() / 2 for s, t in zip(maps_s, maps_t, strict=True))
    torch.testing.assert_close(result["loss_feature"], expected)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(1, 3, 4, 4)], r"student_modules=\['a'\] give maps of \[\[8, 8\]\].*\[\[4, 4\]\]"),
        ([(1, 3)], r"teacher_modules=\['b'\].*\[\[1, 3\]\].*feature maps"),
        ([], "teacher_modules=.*second stage"),
    ],
)
def test_modules_without_matching_maps_are_refused(shapes, message):
    term = FeatureImitation(student_modules=["a"], teacher_modules=["b"])
    with pytest.raises(ValueError, match=message):
        term.connect(spec_of("student", "a", (1, 3, 8, 8)), spec_of("teacher", "b", *shapes))


@pytest.mark.parametrize(
    "options",
    [
        {"region": "boxes"},
        {"channel_reduction": "max"},
        {"background_weight": -1.0},
        {"near_ratio": 1.0},
        {"student_modules": ["backbone"]},
    ],
)
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}="):
        FeatureImitation(**options)


def test_shapes_are_not_broadcast():
    with pytest.raises(ValueError, match=r"mask \[1, 3, 1\] must be \[1, 3, 3\]"):
        imitation_loss(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 1))


@pytest.mark.parametrize(
    ("region", "boxes"), [("all", 0), ("near_objects", 3), ("decoupled", 3), ("decoupled", 0)]
)
def test_a_detector_is_distilled(region, boxes):
    term = dict(type="tbd.FeatureImitation", region=region)
    distilled(tiny.retinanet(), tiny.retinanet(width=8, channels=16), term, boxes=boxes)


def test_layers_of_the_backbone_are_imitated():
    modules = ["backbone.layer2", "backbone.layer3"]
    term = dict(type="tbd.FeatureImitation", student_modules=modules, teacher_modules=modules)
    losses = distilled(tiny.retinanet(), tiny.faster_rcnn(width=8), term)
    assert losses["loss_feature"] > 0
