import math
from dataclasses import replace

import pytest
import tiny
import torch
import views
from dense_views import BOXES, SIZES, STRIDES, every_prediction, losses, overlaps, predictions, spec
from reference import reference

from tbd.distill import LocalizationDistillation, View, bin_distribution_loss
from tbd.distill.object_regions import find_object_regions
from tbd.predictions import DensePredictions
from tbd.registry import MODELS

LD = dict(hd=None, tfd=None, ld=dict(type="tbd.LocalizationDistillation"))


@pytest.mark.parametrize(("form", "anchors"), [("bins", 1), ("bins", 2), ("giou", 2)])
def test_losses_against_a_loop_over_predictions(form, anchors):
    student, teacher = predictions(0, anchors), predictions(1, anchors)
    regions = find_object_regions(views.ground_truth(BOXES), SIZES, STRIDES)
    main = valuable = 0.0
    for level, image, y, x, anchor, index in every_prediction(anchors):
        logits = student.cls_logits[level][image, 2 * anchor : 2 * anchor + 2, y, x]
        score = 1 / (1 + math.exp(-logits.max()))
        if form == "giou":
            pair = [side.boxes[level][image, index].tolist() for side in (student, teacher)]
            difference = 1 - overlaps(*pair)[1]
        else:
            channels = slice(20 * anchor, 20 * anchor + 20)
            rows = [
                side.regression[level][image, channels, y, x].reshape(4, 5)
                for side in (student, teacher)
            ]
            difference = bin_distribution_loss(*rows, 10.0).mean().item()
        if regions.main[level][image, y, x]:
            main += score * difference
        valuable += regions.valuable[level][image, y, x].item() * difference
    assert main > 0
    assert valuable > 0
    found = losses(
        LocalizationDistillation(form=form), student, teacher, anchors_per_location=(anchors,) * 2
    )
    # Weights 1/4 and 1/16, of two images where here are three.
    assert found["loss_ld"].item() == pytest.approx(main / 4 * 2 / 3, rel=1e-5)
    assert found["loss_ld_vlr"].item() == pytest.approx(valuable / 16 * 2 / 3, rel=1e-5)


def test_values_gradients_and_regions_are_those_of_the_public_code():
    arrays = reference("localization")
    strides = ((8, 8), (16, 16))
    gt = views.ground_truth([arrays["boxes_0"], arrays["boxes_1"]])
    regions = find_object_regions(gt, [(5, 4), (3, 2)], strides, offset=0.0, overlap="iof")
    for name in ("main", "valuable"):
        found = torch.cat([level.flatten(1) for level in getattr(regions, name)], dim=1)
        torch.testing.assert_close(found, arrays[name].to(found.dtype))
    given = [arrays[f"reg_s_{level}"].requires_grad_() for level in (0, 1)]
    student, teacher = (
        DensePredictions(
            [arrays["cls_0"], arrays["cls_1"]],
            num_classes=3,
            decode=lambda: [],
            regression=regression,
            encoding="bins",
        )
        for regression in (given, [arrays["reg_t_0"], arrays["reg_t_1"]])
    )
    term = LocalizationDistillation(vlr_overlap="iof")
    head = dict(num_classes=3, prior_layout="anchors", prior_offset=0.0)
    term.connect(*(replace(spec(role, **head), strides=strides) for role in ("student", "teacher")))
    losses = term(view(gt, student), view(gt, teacher))
    for name, loss in losses.items():
        torch.testing.assert_close(loss, arrays[name], rtol=1e-6, atol=0)
    for level, gradient in enumerate(torch.autograd.grad(sum(losses.values()), given)):
        torch.testing.assert_close(gradient, arrays[f"gradient_{level}"], rtol=1e-5, atol=1e-9)


def view(gt, predictions):
    return View(gt, predictions=predictions)


def test_gradient_is_that_of_the_divergence_and_stays_off_the_scores():
    student, teacher = predictions(0), predictions(1)
    given = [level.requires_grad_() for level in (*student.cls_logits, *student.regression)]
    sum(losses(LocalizationDistillation(), student, teacher).values()).backward()
    assert all(level.grad is None for level in student.cls_logits)
    level = student.regression[0]

    def loss(values):
        student.regression[0] = values
        return sum(losses(LocalizationDistillation(), student, teacher).values())

    step = torch.randn_like(level) * 1e-5
    change = loss(level.detach() + step) - loss(level.detach() - step)
    assert change.item() == pytest.approx(2 * (level.grad * step).sum().item(), rel=1e-5)
    assert given


def test_without_the_valuable_region_the_main_one_is_left():
    both = losses(LocalizationDistillation(), predictions(0), predictions(1))
    main = losses(LocalizationDistillation(vlr_weight=0.0), predictions(0), predictions(1))
    assert set(main) == {"loss_ld"}
    assert main["loss_ld"] == both["loss_ld"]


def test_half_precision_gives_float32():
    half = [predictions(seed, dtype=torch.float16) for seed in (0, 1)]
    found = losses(LocalizationDistillation(), *half)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in found.values())


def test_images_without_objects_cost_nothing_but_stay_in_the_graph():
    student, teacher = predictions(0), predictions(1)
    student.regression[0].requires_grad_()
    found = losses(LocalizationDistillation(), student, teacher, boxes=[torch.empty(0, 4)] * 3)
    sum(found.values()).backward()
    assert all(loss == 0 for loss in found.values())
    assert student.regression[0].grad.eq(0).all()


def test_distributions_are_compared_where_both_heads_have_them():
    for bins, form in ((5, "bins"), (7, "giou"), (None, "giou")):
        term = LocalizationDistillation()
        term.connect(spec("student"), spec("teacher", bins=bins))
        assert f"form={form}" in term.describe()


def test_unsuitable_heads_are_refused_with_what_would_do():
    with pytest.raises(ValueError, match=r"studentHead has 5 and .*teacherHead none.*form='giou'"):
        LocalizationDistillation(form="bins").connect(spec("student"), spec("teacher", bins=None))
    with pytest.raises(ValueError, match=r"\[1, 1\] and \[9, 9\] boxes per location"):
        LocalizationDistillation().connect(
            spec("student"), spec("teacher", anchors_per_location=(9, 9))
        )
    with pytest.raises(ValueError, match="different anchors or points"):
        LocalizationDistillation().connect(
            spec("student"), spec("teacher", prior_layout="other points")
        )
    LocalizationDistillation(form="giou").connect(
        spec("student"), spec("teacher", prior_layout="other points")
    )


@pytest.mark.parametrize(
    "options",
    [
        dict(temperature=0.0),
        dict(vlr_weight=-1.0),
        dict(vlr_gamma=2.0),
        dict(form="kl"),
        dict(vlr_overlap="iou2"),
    ],
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LocalizationDistillation(**options)


def test_a_temperature_has_an_effect_on_bins_alone():
    with pytest.raises(ValueError, match=r"temperature=5.0 has no effect with form='giou'"):
        LocalizationDistillation(form="giou", temperature=5.0)
    for form in ("bins", "auto"):
        assert LocalizationDistillation(form=form, temperature=5.0).temperature == 5


@pytest.mark.parametrize(
    ("detector", "form"), [(tiny.gfl, "bins"), (tiny.retinanet, "giou"), (tiny.fcos, "giou")]
)
def test_detectors_learn_from_it(detector, form):
    torch.manual_seed(0)
    model = MODELS.build(
        tiny.wrapper(student=detector(), teacher=detector(width=8, channels=16), distill=LD)
    )
    model.init_weights()
    assert model.terms["ld"].form == form
    found = model(**tiny.batch(model), mode="loss")
    loss = found["ld.loss_ld"] + found["ld.loss_ld_vlr"]
    loss.backward()
    assert 0 < loss < 1e3
    assert model.student.backbone.conv1.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.teacher.parameters())
