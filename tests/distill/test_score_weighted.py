from dataclasses import replace

import pytest
import tiny
import torch
from distilled import distilled, feature_spec
from reference import reference
from torch.nn.functional import conv2d, relu
from views import view

from tbd.distill import (
    FeatureRichnessDistillation,
    HeadSpec,
    ScoreWeightedFeatureDistillation,
    score_weighted_feature_loss,
)
from tbd.distill.score_maps import score_maps
from tbd.predictions import DensePredictions


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_loss_equals_the_formula_in_loops():
    feat_s, feat_t = random(2, 3, 4, 5).requires_grad_(), random(2, 3, 4, 5, seed=1)
    score = random(2, 4, 5, seed=2).sigmoid()
    total = 0.0
    for n, c, i, j in torch.cartesian_prod(*map(torch.arange, (2, 3, 4, 5))).tolist():
        total += score[n, i, j].item() * (feat_s[n, c, i, j] - feat_t[n, c, i, j]).item() ** 2
    loss = score_weighted_feature_loss(feat_s, feat_t, score)
    assert loss.item() == pytest.approx(total / (3 * score.sum().item()), rel=1e-12)
    assert torch.autograd.gradcheck(lambda f: score_weighted_feature_loss(f, feat_t, score), feat_s)


def test_value_and_gradient_are_those_of_the_public_code():
    arrays = reference("score_weighted")
    feat_s = arrays["feat_s"].requires_grad_()
    loss = score_weighted_feature_loss(feat_s, arrays["feat_t"], arrays["score"])
    (gradient,) = torch.autograd.grad(loss, feat_s)
    torch.testing.assert_close(loss, arrays["loss"], rtol=1e-9, atol=0)
    torch.testing.assert_close(gradient, arrays["gradient"], rtol=1e-9, atol=1e-14)


def test_where_nothing_is_seen_nothing_is_learned():
    feat_s = random(1, 2, 3, 3).requires_grad_()
    loss = score_weighted_feature_loss(feat_s, random(1, 2, 3, 3, seed=1), torch.zeros(1, 3, 3))
    assert loss == 0
    assert (torch.autograd.grad(loss, feat_s)[0] == 0).all()


def test_shapes_are_not_broadcast():
    with pytest.raises(ValueError, match=r"score \[1, 3, 1\] must be \[1, 3, 3\]"):
        score_weighted_feature_loss(
            torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 1)
        )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_term_projects_the_student_and_weighs_by_the_teachers_scores(dtype):
    torch.manual_seed(0)
    term = ScoreWeightedFeatureDistillation(loss_weight=2.0)
    term.connect(feature_spec("student", 3), feature_spec("teacher", 4))
    student, teacher = (
        view(
            features=(random(2, channels, 5, 4, seed=channels).to(dtype),),
            predictions=DensePredictions([random(2, 6, 5, 4)], 3, lambda: []),
        )
        for channels in (3, 4)
    )
    if dtype == torch.float64:
        term.double()
    loss = term(student, teacher)["loss_feature"]
    first, second = term.adaptations[0][0], term.adaptations[0][2]
    feat_s = student.features[0].to(first.weight.dtype)
    hidden = relu(conv2d(feat_s, first.weight, first.bias))
    projected = conv2d(hidden, second.weight, second.bias)
    expected = score_weighted_feature_loss(
        projected, teacher.features[0].to(projected.dtype), score_maps(teacher)[0]
    )
    assert loss.dtype == first.weight.dtype
    torch.testing.assert_close(loss, 2 * expected)


@pytest.mark.parametrize("kind", [ScoreWeightedFeatureDistillation, FeatureRichnessDistillation])
def test_objectness_takes_part_where_the_ranking_is_asked_for(kind):
    torch.manual_seed(0)
    logits, objectness = random(2, 6, 5, 4), 3 * random(2, 2, 5, 4, seed=1)
    student, teacher = (
        view(
            features=(random(2, 4, 5, 4, seed=seed),),
            predictions=DensePredictions([logits], 3, list, quality=[objectness]),
        )
        for seed in (2, 3)
    )
    head = HeadSpec("bbox_head", "Head", 3, (2,), "anchors")
    specs = [replace(feature_spec(role, 4), head=head) for role in ("student", "teacher")]
    found, layers = [], []
    for confidence in ("class", "ranking"):
        term = kind(confidence=confidence)
        term.connect(*specs)
        layers.append(term.double())
        term.load_state_dict(layers[0].state_dict())
        found.append(term(student, teacher)["loss_feature"])
    adapted = layers[0].pairs(student, teacher)[0]
    ratio = [
        score_weighted_feature_loss(*adapted, score_maps(teacher, confidence)[0])
        for confidence in ("class", "ranking")
    ]
    torch.testing.assert_close(found[1] / found[0], ratio[1] / ratio[0])
    assert found[1] != found[0]


@pytest.mark.parametrize("student", [tiny.retinanet(), tiny.faster_rcnn()], ids=["one", "two"])
def test_a_detector_is_distilled(student):
    teacher = tiny.retinanet(8, 16) if student["type"] == "RetinaNet" else tiny.faster_rcnn(8, 16)
    term = dict(type="tbd.ScoreWeightedFeatureDistillation")
    assert distilled(student, teacher, term, boxes=0)["loss_feature"] > 0
