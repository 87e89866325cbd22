import math

import pytest
import torch
from views import ground_truth

from tbd.distill import (
    DetectorSpec,
    HarmonyDistillation,
    HeadSpec,
    View,
    harmony,
    harmony_distillation_loss,
    harmony_maps,
)
from tbd.predictions import DensePredictions


def spec(layout="anchors"):
    head = HeadSpec("bbox_head", "Head", 2, (1,), layout)
    return DetectorSpec("student", "Detector", "neck", (4,), ((8, 8),), head)


def view(seed, gts, requires_grad=False, dtype=torch.float64):
    """Two levels with 1 anchor, 2 classes; boxes near the ground truth."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(3, 4), (2, 2)]
    logits = [torch.randn(len(gts), 2, *size, generator=generator, dtype=dtype) for size in sizes]
    boxes = []
    for height, width in sizes:
        low = torch.rand(len(gts), height * width, 2, generator=generator, dtype=dtype) * 8
        boxes.append(torch.cat([low, low + 12], dim=-1))
    for tensor in logits + boxes:
        tensor.requires_grad_(requires_grad)
    predictions = DensePredictions(logits, 2, lambda: boxes)
    return View(ground_truth(gts), predictions=predictions), logits + boxes


GTS = [
    torch.tensor([[2.0, 3.0, 15.0, 14.0], [0.0, 0.0, 9.0, 11.0]], dtype=torch.float64),
    torch.tensor([[5.0, 5.0, 17.0, 16.0]], dtype=torch.float64),
]


def with_predictions(logits, boxes):
    return View(ground_truth(GTS), predictions=DensePredictions(logits, 2, lambda: boxes))


def naive_loss(student, teacher, weighted=True):
    """L_HD by plain loops over levels, images and locations, from logits and boxes."""
    total = 0.0
    for logits_s, logits_t, boxes_s, boxes_t in zip(
        student.predictions.cls_logits,
        teacher.predictions.cls_logits,
        student.predictions.boxes,
        teacher.predictions.boxes,
        strict=True,
    ):
        numerator = denominator = 0.0
        for n, gts in enumerate(student.gt.boxes):
            best = [logits[n].amax(0).flatten().tolist() for logits in (logits_s, logits_t)]
            sums = [sum(map(math.exp, values)) for values in best]
            for index in range(len(best[0])):
                p_c = [math.exp(best[side][index]) / sums[side] for side in (0, 1)]
                p_r = [
                    max(iou(boxes[n, index].tolist(), gt.tolist()) for gt in gts)
                    for boxes in (boxes_s, boxes_t)
                ]
                score = [1 - math.tanh(abs(r - c)) for r, c in zip(p_r, p_c, strict=True)]
                psi = p_r[1] * math.sqrt(1 + abs(p_c[1] - p_c[0])) if weighted else 1.0
                numerator += psi * abs(score[1] - score[0])
                denominator += psi
        total += numerator / max(denominator, 1e-6)
    return total


def iou(box, gt):
    width = max(min(box[2], gt[2]) - max(box[0], gt[0]), 0)
    height = max(min(box[3], gt[3]) - max(box[1], gt[1]), 0)
    union = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, gt)) - width * height
    return width * height / union


@pytest.mark.parametrize("weighted", [True, False])
def test_term_equals_the_formula_in_loops(weighted):
    student, _ = view(0, GTS)
    teacher, _ = view(1, GTS)
    term = HarmonyDistillation(loss_weight=2.5, weighted=weighted)
    loss = term(student, teacher)["loss_harmony"].item()
    assert loss == pytest.approx(2.5 * naive_loss(student, teacher, weighted), rel=1e-9)


def test_gradient_equals_finite_differences():
    teacher, _ = view(1, GTS)
    _, tensors = view(0, GTS, requires_grad=True)
    # psi is a constant of the loss, so it is held at its value here as well.
    frozen = [t.detach().clone() for t in tensors]

    def loss(*inputs):
        student = View(
            ground_truth(GTS),
            predictions=DensePredictions(list(inputs[:2]), 2, lambda: list(inputs[2:])),
        )
        held = View(
            ground_truth(GTS), predictions=DensePredictions(frozen[:2], 2, lambda: frozen[2:])
        )
        term = HarmonyDistillation()
        maps_s, maps_t = (
            harmony_maps(student, term.harmony_head),
            harmony_maps(teacher, term.harmony_head),
        )
        maps_h = harmony_maps(held, term.harmony_head)
        from tbd.harmony import harmony_weight

        return sum(
            harmony_distillation_loss(
                maps_s.score[level],
                maps_t.score[level],
                harmony_weight(maps_t.p_loc[level], maps_t.p_cls[level], maps_h.p_cls[level]),
            )
            for level in range(2)
        )

    assert torch.autograd.gradcheck(loss, tensors)
    student = View(
        ground_truth(GTS), predictions=DensePredictions(tensors[:2], 2, lambda: tensors[2:])
    )
    term_gradient = torch.autograd.grad(
        HarmonyDistillation()(student, teacher)["loss_harmony"], tensors
    )
    for ours, reference in zip(
        term_gradient, torch.autograd.grad(loss(*tensors), tensors), strict=True
    ):
        torch.testing.assert_close(ours, reference)


def test_teacher_and_weight_are_constants_of_the_loss():
    generator = torch.Generator().manual_seed(0)
    score_s, score_t, weight = torch.rand(3, 2, 3, 4, generator=generator).requires_grad_().unbind()
    gradients = torch.autograd.grad(
        harmony_distillation_loss(score_s, score_t, weight),
        (score_s, score_t, weight),
        allow_unused=True,
    )
    assert gradients[0].abs().sum() > 0
    assert gradients[1:] == (None, None)


def test_without_a_weight_the_loss_is_the_mean_difference():
    score_s, score_t = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0)).unbind()
    pairs = zip(score_s.flatten().tolist(), score_t.flatten().tolist(), strict=True)
    expected = sum(abs(s - t) for s, t in pairs) / 12
    loss = harmony_distillation_loss(score_s, score_t, None)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_psi_is_a_constant_of_the_term(monkeypatch):
    # Were it none, the term's gradient would hold how psi changes with the student's logits.
    student, tensors = view(0, GTS, requires_grad=True)
    teacher, _ = view(1, GTS)
    seen = []

    def weight_with_graph(p_loc_t, p_cls_t, p_cls_s):
        seen.append(p_loc_t * (1 + (p_cls_t - p_cls_s).abs()).sqrt())
        return seen[-1]

    expected = torch.autograd.grad(HarmonyDistillation()(student, teacher)["loss_harmony"], tensors)
    monkeypatch.setattr(harmony, "harmony_weight", weight_with_graph)
    student = with_predictions(tensors[:2], tensors[2:])
    result = HarmonyDistillation()(student, teacher)["loss_harmony"]
    found = torch.autograd.grad(result, tensors)
    assert all(weight.requires_grad for weight in seen)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


def test_identical_predictions_cost_nothing():
    student, _ = view(0, GTS)
    teacher, _ = view(0, GTS)
    assert HarmonyDistillation()(student, teacher)["loss_harmony"].item() == 0


def test_batch_without_ground_truth_costs_nothing():
    empty = [torch.empty(0, 4, dtype=torch.float64)] * 2
    student, tensors = view(0, empty, requires_grad=True)
    teacher, _ = view(1, empty)
    result = HarmonyDistillation()(student, teacher)
    gradients = torch.autograd.grad(result["loss_harmony"], tensors, allow_unused=True)
    # The logged means too, whose weights sum to nothing.
    assert [value.item() for value in result.values()] == [0, 0, 0]
    assert all(g is None or (g.isfinite().all() and not g.any()) for g in gradients)


def test_target_score_compares_classification_probabilities():
    student, _ = view(0, GTS)
    teacher, _ = view(1, GTS)
    term = HarmonyDistillation(target="score", weighted=False)
    maps = [harmony_maps(v, term.harmony_head).p_cls for v in (student, teacher)]
    expected = sum((s - t).abs().mean() for s, t in zip(*maps, strict=True))
    torch.testing.assert_close(term(student, teacher)["loss_harmony"], expected)


def test_pairs_with_other_priors_are_compared_per_location():
    term = HarmonyDistillation()
    term.connect(spec("nine anchors"), spec("one anchor"))
    assert term.per_location
    # One side predicts every box twice: per location both sides are the same.
    teacher, _ = view(0, GTS)
    doubled = DensePredictions(
        [torch.cat([level, level], dim=1) for level in teacher.predictions.cls_logits],
        2,
        lambda: [level.repeat_interleave(2, dim=1) for level in teacher.predictions.boxes],
    )
    student = View(ground_truth(GTS), predictions=doubled)
    per_location = harmony_maps(student, term.harmony_head).per_location()
    assert per_location.score[0].shape == harmony_maps(teacher, term.harmony_head).score[0].shape
    single = HarmonyDistillation(norm="peak")
    single.connect(spec("nine anchors"), spec("one anchor"))
    assert single(student, teacher)["loss_harmony"].item() == 0


def test_scores_and_weight_must_have_one_shape():
    with pytest.raises(ValueError, match=r"score_s \[2\], score_t \[2, 1\]"):
        harmony_distillation_loss(torch.zeros(2), torch.zeros(2, 1), None)


def test_logged_harmony_is_weighted_as_the_loss():
    student, _ = view(0, GTS)
    teacher, _ = view(1, GTS)
    term = HarmonyDistillation()
    maps_s, maps_t = (
        harmony_maps(student, term.harmony_head),
        harmony_maps(teacher, term.harmony_head),
    )
    psi = torch.cat(
        [
            (r * (1 + (t - s).abs()).sqrt()).flatten()
            for r, t, s in zip(maps_t.p_loc, maps_t.p_cls, maps_s.p_cls, strict=True)
        ]
    )
    scores = torch.cat([level.flatten() for level in maps_s.score])
    torch.testing.assert_close(
        term(student, teacher)["harmony_student"], (psi * scores).sum() / psi.sum()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "max"}, "norm='max'"),
        ({"target": "boxes"}, "target='boxes'"),
        ({"loss_weight": -1}, "loss_weight=-1"),
        ({"loss_weight": float("nan")}, "loss_weight=nan"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        HarmonyDistillation(**arguments)
