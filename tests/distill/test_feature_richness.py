from dataclasses import replace

import pytest
import tiny
import torch
from distilled import distilled, feature_spec
from reference import reference
from views import view

from tbd.distill import (
    FeatureRichnessDistillation,
    HeadSpec,
    richness_classification_loss,
    score_weighted_feature_loss,
)
from tbd.predictions import DensePredictions


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def spec(role, channels=4, **head):
    known = dict(
        name="bbox_head", type="Head", num_classes=3, anchors_per_location=(2,), prior_layout="a"
    )
    return replace(feature_spec(role, channels), head=HeadSpec(**(known | head)))


def connected(student=None, teacher=None, **options):
    term = FeatureRichnessDistillation(**options)
    term.connect(student or spec("student"), teacher or spec("teacher"))
    return term.double()


def views(size=(5, 4)):
    return [
        view(
            features=(random(2, 4, *size, seed=seed),),
            predictions=DensePredictions([random(2, 6, *size, seed=seed + 2)], 3, lambda: []),
        )
        for seed in range(2)
    ]


def test_class_loss_equals_the_formula_in_loops():
    logits_s, logits_t = random(2, 6, 4, 5).requires_grad_(), random(2, 6, 4, 5, seed=1)
    score = random(2, 4, 5, seed=2).sigmoid()
    p, q = logits_s.detach().sigmoid(), logits_t.sigmoid()
    total = 0.0
    for n, k, i, j in torch.cartesian_prod(*map(torch.arange, (2, 6, 4, 5))).tolist():
        index = (n, k, i, j)
        entropy = -(q[index] * p[index].log() + (1 - q[index]) * (1 - p[index]).log())
        total += score[n, i, j].item() * entropy.item()
    loss = richness_classification_loss(logits_s, logits_t, score)
    assert loss.item() == pytest.approx(total / score.sum().item(), rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda logits: richness_classification_loss(logits, logits_t, score), logits_s
    )


@pytest.mark.parametrize("size", [(5, 4), (1, 1)])
def test_term_sums_over_channels_and_weighs_by_the_teachers_scores(size):
    student, teacher = views(size)
    term = connected(loss_weight=2.0, feature_weight=0.5, cls_weight=0.1, adaptation="identity")
    logits_t = teacher.predictions.cls_logits[0]
    score = logits_t.amax(dim=1).sigmoid()
    squared = (student.features[0] - teacher.features[0]).square().sum(dim=1)
    losses = term(student, teacher)
    expected = (score * squared).sum() / score.sum()
    torch.testing.assert_close(losses["loss_feature"], 2 * 0.5 * expected)
    expected = richness_classification_loss(student.predictions.cls_logits[0], logits_t, score)
    torch.testing.assert_close(losses["loss_cls"], 2 * 0.1 * expected)


def test_values_and_gradients_are_those_of_the_public_code():
    arrays = reference("feature_richness")
    feat_s = arrays["feat_s"].requires_grad_()
    logits_s = arrays["logits_s"].requires_grad_()
    score = arrays["logits_t"].sigmoid().amax(dim=1)
    channels = feat_s.shape[1]
    losses = {
        "feature": 0.005 * channels * score_weighted_feature_loss(feat_s, arrays["feat_t"], score),
        "cls": 0.02 * richness_classification_loss(logits_s, arrays["logits_t"], score),
    }
    for name, inputs in (("feature", feat_s), ("cls", logits_s)):
        (gradient,) = torch.autograd.grad(losses[name], inputs)
        torch.testing.assert_close(losses[name], arrays[f"loss_{name}"], rtol=1e-10, atol=0)
        torch.testing.assert_close(gradient, arrays[f"gradient_{name}"], rtol=1e-10, atol=1e-14)


def test_extreme_logits_do_not_overflow():
    logits = 1e3 * random(1, 2, 3, 3)
    loss = richness_classification_loss(logits.half(), -logits.half(), torch.ones(1, 3, 3))
    assert loss.dtype == torch.float32
    assert loss.isfinite()


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (spec("teacher", num_classes=5), "3 classes.* 5"),
        (spec("teacher", anchors_per_location=(1,)), r"\[2\] and \[1\] boxes per location"),
        (spec("teacher", background=True), "background class.*cls_weight=0"),
    ],
)
def test_class_scores_that_do_not_correspond_are_refused_unless_left_out(teacher, message):
    with pytest.raises(ValueError, match=message):
        connected(teacher=teacher)
    term = connected(teacher=teacher, cls_weight=0.0)
    assert set(term(*views())) == {"loss_feature"}
    assert not term.compares_classes


def test_names_of_classes_matter_where_there_are_several():
    assert connected().compares_classes
    rpn = [spec(role, num_classes=1) for role in ("student", "teacher")]
    assert not connected(*rpn).compares_classes


@pytest.mark.parametrize("key", ["feature_weight", "cls_weight"])
def test_arguments_out_of_range_are_refused(key):
    with pytest.raises(ValueError, match=f"{key}=-1"):
        FeatureRichnessDistillation(**{key: -1.0})


@pytest.mark.parametrize("student", [tiny.retinanet(), tiny.faster_rcnn()], ids=["one", "two"])
def test_a_detector_is_distilled(student):
    teacher = tiny.retinanet(8, 16) if student["type"] == "RetinaNet" else tiny.faster_rcnn(8, 16)
    term = dict(type="tbd.FeatureRichnessDistillation")
    losses = distilled(student, teacher, term, boxes=0)
    assert losses["loss_feature"] > 0
    assert losses["loss_cls"] > 0
