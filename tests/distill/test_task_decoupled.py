from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from views import ground_truth

from tbd.distill import (
    DetectorSpec,
    TaskDecoupledFeatureDistillation,
    View,
    harmony_maps,
    task_decoupled_feature_loss,
)
from tbd.modules import RecurrentTaskWeightGenerator
from tbd.predictions import DensePredictions


def spec(*channels):
    return DetectorSpec("student", "Detector", "neck", channels, ((8, 8),) * len(channels), None)


def tensors(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=dtype)

    return (
        rand(2, 3, 4, 5).requires_grad_(),
        rand(2, 3, 4, 5),
        rand(2, 4, 5),
        rand(2, 4, 5),
        rand(2, 2).softmax(1).requires_grad_(),
    )


def naive(feat_s, feat_t, cls_mask, loc_mask, task_weights):
    results = []
    for task, mask in enumerate((cls_mask, loc_mask)):
        numerator = 0.0
        for n in range(2):
            inner = 0.0
            for i in range(4):
                for j in range(5):
                    d = sum((feat_t[n, c, i, j] - feat_s[n, c, i, j]).item() ** 2 for c in range(3))
                    inner += mask[n, i, j].item() * d / 3
            numerator += task_weights[n, task].item() * inner
        results.append(numerator / max(mask.sum().item(), 1e-6))
    return results


def test_loss_equals_the_formula_in_loops():
    inputs = tensors()
    cls_loss, loc_loss = task_decoupled_feature_loss(*inputs)
    assert [cls_loss.item(), loc_loss.item()] == pytest.approx(naive(*inputs), rel=1e-12)


def test_gradients_equal_finite_differences():
    assert torch.autograd.gradcheck(task_decoupled_feature_loss, tensors())


def test_empty_masks_cost_nothing():
    feat_s, feat_t, mask, _, weights = tensors()
    zero = torch.zeros_like(mask)
    losses = task_decoupled_feature_loss(feat_s, feat_t, zero, zero, weights)
    assert [loss.item() for loss in losses] == [0, 0]


@pytest.mark.parametrize(
    ("index", "shape", "message"),
    [
        (0, (2, 3, 4, 1), r"feat_s \[2, 3, 4, 1\]"),
        (2, (2, 4, 1), r"cls_mask \[2, 4, 1\]"),
        (3, (1, 4, 5), r"loc_mask \[1, 4, 5\]"),
        (4, (1, 2), r"task_weights must be \[2, 2\]"),
    ],
)
def test_shapes_are_not_broadcast(index, shape, message):
    inputs = list(tensors())
    inputs[index] = torch.zeros(shape, dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        task_decoupled_feature_loss(*inputs)


def views(channels_s=6, channels_t=6, gts=None):
    generator = torch.Generator().manual_seed(1)
    gts = gts or [torch.tensor([[0.0, 0.0, 20.0, 20.0]])] * 2
    result = []
    for channels in (channels_s, channels_t):
        low = torch.rand(2, 2 * 4 * 5, 2, generator=generator) * 9
        boxes = torch.cat([low, low + 15], dim=-1)
        logits = torch.randn(2, 2 * 3, 4, 5, generator=generator)
        features = (torch.randn(2, channels, 4, 5, generator=generator).requires_grad_(),)
        dense = DensePredictions([logits], 3, lambda boxes=boxes: [boxes])
        result.append(View(ground_truth(gts), features=features, predictions=dense))
    return result


def test_term_uses_the_teachers_maps_as_masks_and_all_four_for_the_weights():
    student, teacher = views()
    term = TaskDecoupledFeatureDistillation(loss_weight=3.0)
    term.connect(spec(6), spec(6))
    maps_s, maps_t = (harmony_maps(v, term.harmony_head) for v in (student, teacher))
    cls_mask, loc_mask = maps_t.p_cls[0].amax(1), maps_t.p_loc[0].amax(1)
    probabilities = torch.stack(
        [cls_mask, loc_mask, maps_s.p_cls[0].amax(1), maps_s.p_loc[0].amax(1)], dim=1
    )
    expected = task_decoupled_feature_loss(
        student.features[0],
        teacher.features[0],
        cls_mask,
        loc_mask,
        term.weight_generator(probabilities),
    )
    result = term(student, teacher)
    torch.testing.assert_close(result["loss_cls_feature"], 3 * expected[0])
    torch.testing.assert_close(result["loss_loc_feature"], 3 * expected[1])
    torch.testing.assert_close(result["cls_weight_0"] + result["loc_weight_0"], torch.tensor(1.0))


def test_fixed_weights_replace_the_generator():
    student, teacher = views()
    losses = []
    for weights in [(1.0, 0.0), (0.0, 1.0), (2.0, 0.5)]:
        term = TaskDecoupledFeatureDistillation(task_weights=weights)
        term.connect(spec(6), spec(6))
        assert not list(term.parameters())
        result = term(student, teacher)
        losses.append(torch.stack([result["loss_cls_feature"], result["loss_loc_feature"]]))
    assert losses[0][1] == losses[1][0] == 0
    torch.testing.assert_close(losses[2], losses[0] * 2 + losses[1] * 0.5)


def test_channels_are_adapted_and_gradients_reach_student_and_terms_but_not_teacher():
    student, teacher = views(channels_s=4)
    term = TaskDecoupledFeatureDistillation()
    term.connect(spec(4), spec(6))
    result = term(student, teacher)
    (result["loss_cls_feature"] + result["loss_loc_feature"]).backward()
    assert isinstance(term.adaptations[0], nn.Conv2d)
    assert student.features[0].grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in term.parameters())
    assert teacher.features[0].grad is None


def test_teacher_and_masks_are_constants_of_the_loss():
    feat_s, *constants, weights = tensors()
    constants = [tensor.requires_grad_() for tensor in constants]
    losses = task_decoupled_feature_loss(feat_s, *constants, weights)
    gradients = torch.autograd.grad(sum(losses), (feat_s, weights, *constants), allow_unused=True)
    assert all(gradient.abs().sum() > 0 for gradient in gradients[:2])
    assert gradients[2:] == (None, None, None)


@pytest.mark.parametrize("norm", ["softmax", "peak", "sigmoid"])
@pytest.mark.parametrize("task_weights", [None, (1.0, 2.0)])
def test_no_gradient_reaches_predictions_through_masks_and_weights(norm, task_weights):
    student, teacher = views()
    predictions = [
        tensor.requires_grad_()
        for v in (student, teacher)
        for tensor in (*v.predictions.cls_logits, *v.predictions.boxes)
    ]
    term = TaskDecoupledFeatureDistillation(norm=norm, task_weights=task_weights)
    term.connect(spec(6), spec(6))
    result = term(student, teacher)
    (result["loss_cls_feature"] + result["loss_loc_feature"]).backward()
    assert student.features[0].grad.abs().sum() > 0
    assert all(tensor.grad is None for tensor in predictions)


def test_half_precision_features_are_compared_in_float32():
    student, teacher = views()
    term = TaskDecoupledFeatureDistillation()
    term.connect(spec(6), spec(6))
    halves = [
        replace(v, features=tuple(f.detach().bfloat16() for f in v.features))
        for v in (student, teacher)
    ]
    assert term(*halves)["loss_cls_feature"].dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task_weights": (1.0,)}, "task_weights="),
        ({"task_weights": (1.0, -2.0)}, "task_weights="),
        ({"task_weights": (float("nan"), 1.0)}, "task_weights"),
        ({"task_weights": (float("inf"), 1.0)}, "task_weights"),
        ({"hidden_channels": 0}, "hidden_channels=0"),
        ({"norm": "max"}, "norm='max'"),
        ({"weight_generator": "lstm"}, "weight_generator='lstm'"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TaskDecoupledFeatureDistillation(**arguments)


@pytest.mark.parametrize(
    "kind", ["recurrent", dict(type="tbd.RecurrentTaskWeightGenerator", bidirectional=True)]
)
def test_a_recurrent_generator_weighs_all_levels_together(kind):
    student, teacher = views()
    student, teacher = (replace(v, features=v.features * 2) for v in (student, teacher))
    doubled = [
        DensePredictions(v.predictions.cls_logits * 2, 3, lambda v=v: v.predictions.boxes * 2)
        for v in (student, teacher)
    ]
    student, teacher = (
        replace(v, predictions=p) for v, p in zip((student, teacher), doubled, strict=True)
    )
    term = TaskDecoupledFeatureDistillation(weight_generator=kind)
    term.connect(spec(6, 6), spec(6, 6))
    assert isinstance(term.weight_generator, RecurrentTaskWeightGenerator)
    result = term(student, teacher)
    maps_s, maps_t = (harmony_maps(v, term.harmony_head) for v in (student, teacher))
    maps = [
        torch.stack(
            [
                m[level].detach().amax(1)
                for m in (maps_t.p_cls, maps_t.p_loc, maps_s.p_cls, maps_s.p_loc)
            ],
            dim=1,
        )
        for level in range(2)
    ]
    for level, weights in enumerate(term.weight_generator(maps)):
        assert_close(result[f"cls_weight_{level}"], weights[:, 0].mean())
        assert_close(result[f"loc_weight_{level}"], weights[:, 1].mean())
    (result["loss_cls_feature"] + result["loss_loc_feature"]).backward()
    assert all(p.grad is not None for p in term.parameters())


def test_a_recurrent_generator_of_other_levels_is_refused():
    term = TaskDecoupledFeatureDistillation(
        weight_generator=dict(type="tbd.RecurrentTaskWeightGenerator", num_levels=5)
    )
    with pytest.raises(ValueError, match="num_levels=5, but 1 pyramid levels are compared"):
        term.connect(spec(6), spec(6))
