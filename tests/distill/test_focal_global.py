import pytest
import tiny
import torch
from distilled import distilled, feature_spec, half_precision_views
from reference import reference, state_dict
from views import ground_truth, view

from tbd.distill import FocalGlobalDistillation, View, attention_loss, focal_feature_loss
from tbd.distill.attention import channel_attention, spatial_attention

BOXES = torch.tensor([[3.0, 5.0, 17.0, 30.0]])
PARTS = ("foreground", "background", "attention", "context")


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def only(part):
    """Options by which one part counts alone."""
    return {f"{other}_weight": float(other == part) for other in PARTS}


def term_on(*widths, **options):
    term = FocalGlobalDistillation(**options)
    term.connect(feature_spec("student", *widths), feature_spec("teacher", *widths))
    return term.double()


def public_term(arrays, **options):
    term = term_on(6, temperature=0.5, **options)
    term.contexts[0].load_state_dict(state_dict(arrays))
    return term


def public_views(arrays):
    boxes = [arrays["boxes"], torch.zeros(0, 4, dtype=torch.float64)]
    height, width = arrays["image_size"].tolist()
    gt = ground_truth(boxes, size=(height, width))
    return [
        View(gt, features=(features,))
        for features in (arrays["feat_s"].requires_grad_(), arrays["feat_t"])
    ]


def test_parts_are_those_of_the_public_code():
    arrays = reference("focal_global")
    views = public_views(arrays)
    for part in PARTS:
        losses = public_term(arrays, **only(part))(*views)
        torch.testing.assert_close(losses[f"loss_{part}"], arrays[part], rtol=1e-6, atol=0)


def test_value_and_gradient_are_those_of_the_public_code():
    arrays = reference("focal_global")
    student, teacher = public_views(arrays)
    losses = public_term(arrays)(student, teacher)
    total = sum(losses.values())
    (gradient,) = torch.autograd.grad(total, student.features[0])
    torch.testing.assert_close(total, arrays["loss"], rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, arrays["gradient"], rtol=1e-5, atol=1e-9)


def test_feature_loss_equals_the_formula_in_loops():
    feat_s, feat_t = random(2, 3, 4, 5).requires_grad_(), random(2, 3, 4, 5, seed=1)
    foreground, background = random(2, 2, 4, 5, seed=2).abs()
    spatial, channels = spatial_attention(feat_t, 0.8), channel_attention(feat_t, 0.8)
    expected = [0.0, 0.0]
    for n, c, i, j in torch.cartesian_prod(*map(torch.arange, (2, 3, 4, 5))).tolist():
        squared = (feat_t[n, c, i, j] - feat_s[n, c, i, j]).item() ** 2
        squared *= spatial[n, i, j].item() * channels[n, c].item() / 2
        expected[0] += foreground[n, i, j].item() * squared
        expected[1] += background[n, i, j].item() * squared
    losses = focal_feature_loss(feat_s, feat_t, foreground, background, 0.8)
    assert [loss.item() for loss in losses] == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda f: focal_feature_loss(f, feat_t, foreground, background, 0.8), feat_s
    )


def test_attention_loss_equals_the_formula_in_loops():
    feat_s, feat_t = random(2, 3, 4, 5).requires_grad_(), random(2, 3, 4, 5, seed=1)
    expected = 0.0
    for attention in (spatial_attention, channel_attention):
        maps = [attention(features, 0.8).flatten().tolist() for features in (feat_s, feat_t)]
        expected += sum(abs(a - b) for a, b in zip(*maps, strict=True))
    assert attention_loss(feat_s, feat_t, 0.8).item() == pytest.approx(expected / 2, rel=1e-12)
    assert torch.autograd.gradcheck(lambda f: attention_loss(f, feat_t, 0.8), feat_s)


def test_an_image_without_objects_has_no_foreground_loss():
    student, teacher = (
        view([torch.zeros(0, 4)], features=(random(1, 4, 5, 4, seed=seed),)) for seed in range(2)
    )
    losses = term_on(4)(student, teacher)
    assert losses["loss_foreground"] == 0
    assert losses["loss_background"] > 0


def test_objects_count_by_the_part_that_they_are_in():
    student, teacher = (
        view([torch.tensor([[0.0, 0.0, 20.0, 20.0]])], features=(random(1, 4, 8, 8, seed=seed),))
        for seed in range(2)
    )
    far = student.features[0].clone()
    far[:, :, 6:, 6:] += 5
    term = term_on(4)
    before = term(student, teacher)
    after = term(view(student.gt.boxes, features=(far,)), teacher)
    assert after["loss_foreground"] == before["loss_foreground"]
    assert after["loss_background"] > before["loss_background"]


def test_half_precision_and_single_locations_are_compared_in_float32():
    term = term_on(4, 4).float()
    student, teacher = half_precision_views([(1, 4, 5, 4), (1, 4, 1, 1)], boxes=[BOXES])
    losses = term(student, teacher)
    assert set(losses) == {f"loss_{part}" for part in PARTS}
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize(
    "options",
    [{"foreground_weight": -1.0}, {"context_weight": float("nan")}, {"temperature": 0.0}],
)
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}="):
        FocalGlobalDistillation(**options)


@pytest.mark.parametrize(
    ("shape", "mask", "message"),
    [((1, 2, 3, 1), (1, 3, 3), "feat_s"), ((1, 2, 3, 3), (1, 3, 1), r"must be \[1, 3, 3\]")],
)
def test_shapes_are_not_broadcast(shape, mask, message):
    with pytest.raises(ValueError, match=message):
        focal_feature_loss(
            torch.zeros(shape), torch.zeros(1, 2, 3, 3), torch.zeros(mask), torch.zeros(mask), 0.5
        )


@pytest.mark.parametrize("boxes", [3, 0])
@pytest.mark.parametrize("student", [tiny.retinanet(), tiny.faster_rcnn()], ids=["one", "two"])
def test_a_detector_is_distilled(student, boxes):
    teacher = tiny.retinanet(8, 16) if student["type"] == "RetinaNet" else tiny.faster_rcnn(8, 16)
    # The last layer of a context block starts at zero, so those before it are idle at first.
    idle = (
        "conv_mask",
        "channel_add_conv_s.0",
        "channel_add_conv_s.1",
        "channel_add_conv_t.0",
        "channel_add_conv_t.1",
    )
    losses = distilled(
        student, teacher, dict(type="tbd.FocalGlobalDistillation"), idle=idle, boxes=boxes
    )
    assert (losses["loss_foreground"] > 0) == (boxes > 0)
