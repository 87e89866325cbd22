import math

import pytest
import torch
from mmdet.models.losses import KnowledgeDistillationKLDivLoss
from reference import reference

from tbd.distill import bin_distribution_loss, quality_focal_distillation_loss
from tbd.distill.prediction_losses import box_overlap_loss


def random_logits(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3


def softmax(row, temperature):
    exponentials = [math.exp(value / temperature) for value in row]
    return [value / sum(exponentials) for value in exponentials]


def test_bin_loss_against_the_mean_over_the_bins_of_each_row():
    student, teacher = random_logits(2, 5, 7)
    temperature = 10.0
    expected = []
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p, q = softmax(s, temperature), softmax(t, temperature)
        terms = [b * math.log(b / a) for a, b in zip(p, q, strict=True)]
        expected.append(temperature**2 * sum(terms) / 7)
    loss = bin_distribution_loss(student, teacher, temperature)
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))
    assert torch.autograd.gradcheck(
        lambda logits: bin_distribution_loss(logits, teacher, temperature),
        student.clone().requires_grad_(),
    )


def test_bin_loss_is_that_of_mmdetections_ld_head():
    student, teacher = random_logits(2, 5, 7)
    expected = KnowledgeDistillationKLDivLoss(reduction="none", T=10)(student, teacher)
    torch.testing.assert_close(bin_distribution_loss(student, teacher, 10.0), expected)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
def test_quality_focal_loss_against_a_loop(beta):
    student, teacher = random_logits(2, 4, 3)
    loss = quality_focal_distillation_loss(student, teacher, beta)
    assert loss.shape == student.shape
    for got, s, t in zip(
        loss.flatten().tolist(), student.flatten().tolist(), teacher.flatten().tolist(), strict=True
    ):
        p, q = 1 / (1 + math.exp(-s)), 1 / (1 + math.exp(-t))
        entropy = -q * math.log(p) - (1 - q) * math.log(1 - p)
        assert got == pytest.approx(entropy * abs(p - q) ** beta, rel=1e-9)
    assert torch.autograd.gradcheck(
        lambda logits: quality_focal_distillation_loss(logits, teacher, beta),
        student.clone().requires_grad_(),
    )


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_equal_scores_cost_nothing_and_have_a_finite_gradient(beta):
    logits = random_logits(6).requires_grad_()
    loss = quality_focal_distillation_loss(logits, logits.detach(), beta)
    loss.sum().backward()
    assert loss.eq(0).all()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("beta", [1, 2])
def test_quality_focal_loss_is_that_of_the_public_code_of_bckd(beta):
    arrays = reference("binary_classification")
    logits_s = arrays["logits_s"].requires_grad_()
    loss = quality_focal_distillation_loss(logits_s, arrays["logits_t"], beta).sum(dim=1)
    (gradient,) = torch.autograd.grad(loss.sum(), logits_s)
    torch.testing.assert_close(loss, arrays[f"loss_{beta}"], rtol=1e-10, atol=0)
    torch.testing.assert_close(gradient, arrays[f"gradient_{beta}"], rtol=1e-10, atol=1e-14)


def test_extreme_logits_stay_finite():
    extreme = torch.tensor([200.0, -200.0], requires_grad=True)
    for beta in (0.0, 1.0):
        loss = quality_focal_distillation_loss(extreme, -extreme.detach(), beta)
        torch.testing.assert_close(loss, torch.tensor([200.0, 200.0]))
    assert bin_distribution_loss(extreme[None], -extreme[None].detach(), 1.0).isfinite().all()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("iou", [2 / 3, 1, 0]),
        ("giou", [2 / 3, 4 / 3, 0]),
        ("log_iou", [math.log(3), math.log(1e6), 0]),
    ],
)
def test_box_loss_by_hand(mode, expected):
    student = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [5, 5, 6, 6]])
    # IoU 2/6 in an enclosing box of 6: GIoU 1/3. No overlap, 2 of 3 enclosed: GIoU -1/3. Equal.
    teacher = torch.tensor([[1.0, 0, 3, 2], [2, 0, 3, 1], [5, 5, 6, 6]])
    loss = box_overlap_loss(student, teacher, mode)
    torch.testing.assert_close(loss, torch.tensor(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", ["iou", "giou", "log_iou"])
def test_boxes_inside_out_have_bounded_losses_and_are_turned_outwards(mode):
    generator = torch.Generator().manual_seed(0)
    low, extent = (50 * torch.rand(1000, 2, generator=generator) for _ in range(2))
    proper = torch.cat([low, low + extent], dim=1)
    anyhow = 100 * torch.rand(1000, 4, generator=generator)
    bound = {"iou": 1, "giou": 2, "log_iou": 13.9}[mode]
    for pair in ((anyhow, proper), (proper, anyhow), (anyhow, anyhow.flip(0))):
        loss = box_overlap_loss(*pair, mode)
        assert loss.min() >= -1e-6
        assert loss.max() <= bound
    # Small and inside of what is to be learned: nothing but the extents counts.
    boxes = torch.tensor([[51.0, 52, 49, 48]], requires_grad=True)
    box_overlap_loss(boxes, torch.tensor([[0.0, 0, 100, 100]]), mode).sum().backward()
    outwards = boxes.grad * torch.tensor([1, 1, -1, -1])
    assert (outwards > 0).all() if mode == "giou" else (outwards == 0).all()


def test_half_precision_gives_float32():
    half = random_logits(2, 4).half()
    boxes = torch.tensor([[0, 0, 2, 2], [1, 1, 2, 3]]).half()
    assert bin_distribution_loss(half, half, 1.0).dtype == torch.float32
    assert quality_focal_distillation_loss(half, half, 1.0).dtype == torch.float32
    assert box_overlap_loss(boxes, boxes, "giou").dtype == torch.float32


def test_no_rows_give_no_losses():
    assert bin_distribution_loss(torch.empty(0, 5), torch.empty(0, 5), 1.0).shape == (0,)
    assert box_overlap_loss(torch.empty(0, 4), torch.empty(0, 4), "iou").shape == (0,)


def test_shapes_and_settings_that_do_not_suit_are_refused():
    one, other = torch.zeros(5, 4), torch.zeros(5, 3)
    with pytest.raises(ValueError, match=r"logits_s \[5, 4\] and logits_t \[5, 3\]"):
        bin_distribution_loss(one, other, 1.0)
    with pytest.raises(ValueError, match=r"logits_s \[5, 4\] and logits_t \[5, 3\]"):
        quality_focal_distillation_loss(one, other, 1.0)
    with pytest.raises(ValueError, match=r"boxes_s \[5, 4\] and boxes_t \[4, 4\]"):
        box_overlap_loss(one, one[:4], "iou")
    with pytest.raises(ValueError, match=r"temperature=0\.0"):
        bin_distribution_loss(one, one, 0.0)
    with pytest.raises(ValueError, match=r"beta=-1"):
        quality_focal_distillation_loss(one, one, -1.0)
