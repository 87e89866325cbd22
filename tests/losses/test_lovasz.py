import itertools

import pytest
import torch

from tbd.losses import (
    LovaszSoftmaxLoss,
    binary_iou,
    lovasz_hinge_loss,
    lovasz_softmax_loss,
    multiclass_iou,
)
from tbd.losses.lovasz import jaccard_gradient, lovasz_extension


def jaccard_of(wrong, target, weight):
    """Jaccard loss of the mask that is wrong at the given pixels."""
    truth = {i for i, t in enumerate(target) if t}
    predicted = truth ^ set(wrong)
    union = sum(weight[i] for i in truth | predicted)
    return 1 - sum(weight[i] for i in truth & predicted) / union if union else 0.0


def extension_of(errors, target, weight):
    """The extension by its definition, and its gradient."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    gradient = [0.0] * len(errors)
    for k, pixel in enumerate(order):
        after = jaccard_of(order[: k + 1], target, weight)
        gradient[pixel] = after - jaccard_of(order[:k], target, weight)
    return sum(g * e for g, e in zip(gradient, errors, strict=True)), gradient


@pytest.mark.parametrize("weighted", [False, True])
def test_extension_and_gradient_against_brute_force(weighted):
    generator = torch.Generator().manual_seed(0)
    for target in itertools.product((0, 1), repeat=5):
        errors = torch.rand(5, generator=generator, dtype=torch.float64, requires_grad=True)
        weight = torch.ones(5, dtype=torch.float64)
        if weighted:
            weight = torch.randint(0, 3, (5,), generator=generator).double() * 0.75
        value = lovasz_extension(errors, torch.tensor(target).double(), weight)
        value.backward()
        expected, gradient = extension_of(errors.tolist(), target, weight.tolist())
        assert value.item() == pytest.approx(expected, abs=1e-12)
        assert errors.grad.tolist() == pytest.approx(gradient, abs=1e-12)
        # Not only the formula's derivative but the function's.
        step = 1e-6 * torch.eye(5, dtype=torch.float64)
        ends = [
            lovasz_extension(
                errors.detach() + sign * step,
                *(t.expand(5, 5) for t in (torch.tensor(target).double(), weight)),
            )
            for sign in (1, -1)
        ]
        torch.testing.assert_close((ends[0] - ends[1]) / 2e-6, errors.grad, atol=1e-8, rtol=0)


def test_extension_is_the_jaccard_loss_on_sets_and_convex_between():
    target = torch.tensor([1.0, 1, 0, 1, 0, 0], dtype=torch.float64)
    ones = torch.ones(6, dtype=torch.float64)
    for wrong in itertools.product((0.0, 1.0), repeat=6):
        errors = torch.tensor(wrong, dtype=torch.float64)
        expected = jaccard_of([i for i in range(6) if wrong[i]], target.tolist(), ones.tolist())
        assert lovasz_extension(errors, target, ones).item() == pytest.approx(expected, abs=1e-12)
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 100, 6, generator=generator, dtype=torch.float64)
    many = target.expand(100, 6), ones.expand(100, 6)
    middle = lovasz_extension((a + b) / 2, *many)
    assert (middle <= (lovasz_extension(a, *many) + lovasz_extension(b, *many)) / 2 + 1e-12).all()


def test_gradient_of_a_large_image_does_not_cancel_in_float32():
    generator = torch.Generator().manual_seed(0)
    target = (torch.rand(1 << 20, generator=generator) < 0.3).float()
    found = jaccard_gradient(target, torch.ones_like(target))
    exact = jaccard_gradient(target.double(), torch.ones_like(target).double())
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=0)
    assert exact.sum().item() == pytest.approx(1)


def hinge_problem():
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(3, 4, 5, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 2, (3, 4, 5), generator=generator)
    target[2] = 0
    return logits, target


def test_hinge_against_brute_force():
    logits, target = hinge_problem()
    target[0, 0] = 255
    expected = []
    for x, t in zip(logits.flatten(1).tolist(), target.flatten(1).tolist(), strict=True):
        kept = [i for i, label in enumerate(t) if label != 255]
        errors = [max(0.0, 1 - x[i] * (2 * t[i] - 1)) for i in kept]
        expected.append(extension_of(errors, [t[i] for i in kept], [1.0] * len(kept))[0])
    found = lovasz_hinge_loss(logits, target, ignore_index=255)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    # Without foreground: the largest error of the image.
    assert found[2].item() == pytest.approx((1 + logits[2]).relu().max().item())
    whole = lovasz_hinge_loss(logits, target, per_image=False, ignore_index=255)
    flat = lovasz_hinge_loss(logits.view(1, -1), target.view(1, -1), ignore_index=255)
    assert whole.item() == pytest.approx(flat.item())


def test_hinge_on_hard_predictions_is_the_jaccard_loss():
    logits, target = hinge_problem()
    hard = (logits > 0).double() * 2 - 1
    # Hinge errors of the mistakes are 2, all others 0.
    found = lovasz_hinge_loss(hard, target) / 2
    expected = [1 - binary_iou(hard[i] > 0, target[i], per_image=False) for i in range(3)]
    torch.testing.assert_close(found, torch.stack(expected))


def softmax_problem():
    generator = torch.Generator().manual_seed(4)
    logits = 2 * torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 3, (2, 3, 5), generator=generator)
    target[1][target[1] == 1] = 0
    target[0, 0] = 255
    return logits, target


@pytest.mark.parametrize("classes", ["present", "all", [1, 3]])
@pytest.mark.parametrize("per_image", [False, True])
def test_softmax_against_brute_force(classes, per_image):
    logits, target = softmax_problem()
    probabilities = logits.softmax(1)
    groups = [[0], [1]] if per_image else [[0, 1]]
    expected = []
    for group in groups:
        p = torch.cat([probabilities[n].flatten(1) for n in group], dim=1)
        labels = torch.cat([target[n].flatten() for n in group])
        p, labels = p[:, labels != 255].tolist(), labels[labels != 255].tolist()
        values = {}
        for c in range(4):
            truth = [int(label == c) for label in labels]
            errors = [abs(t - q) for t, q in zip(truth, p[c], strict=True)]
            values[c] = extension_of(errors, truth, [1.0] * len(truth))[0]
        chosen = classes
        if isinstance(classes, str):
            chosen = sorted(set(labels)) if classes == "present" else range(4)
        expected.append(sum(values[c] for c in chosen) / len(chosen))
    found = lovasz_softmax_loss(
        logits, target, classes=classes, per_image=per_image, ignore_index=255
    )
    assert found.flatten().tolist() == pytest.approx(expected, rel=1e-12)


def test_softmax_on_hard_predictions_is_one_minus_the_mean_iou():
    logits, target = softmax_problem()
    hard = 1e4 * torch.nn.functional.one_hot(logits.argmax(1), 4).movedim(-1, 1).double()
    ious = multiclass_iou(logits.argmax(1), target, 4, ignore_index=255)
    found = lovasz_softmax_loss(hard, target, classes="all", ignore_index=255)
    assert found.item() == pytest.approx(1 - ious.mean().item())
    found = lovasz_softmax_loss(hard, target, ignore_index=255)
    assert found.item() == pytest.approx(1 - ious[:3].mean().item())


def test_all_void_images_are_0():
    logits, target = softmax_problem()
    target[1] = 255
    found = lovasz_softmax_loss(logits, target, per_image=True, ignore_index=255)
    assert found[1] == 0
    assert found[0] > 0
    logits.requires_grad_()
    for classes in ("present", "all", [2]):
        loss = lovasz_softmax_loss(
            logits, torch.full_like(target, 255), classes=classes, ignore_index=255
        )
        loss.backward()
        assert loss == 0
        assert not logits.grad.any()
    x = logits[:, 0].detach().requires_grad_()
    loss = lovasz_hinge_loss(x, torch.full_like(target, 255), ignore_index=255)
    loss.sum().backward()
    assert loss.tolist() == [0, 0]
    assert not x.grad.any()


def test_a_mask_is_two_classes_with_a_background_of_logit_0():
    logits, target = hinge_problem()
    regions = torch.stack([logits, torch.full_like(logits, torch.nan)], dim=1)
    labels = torch.zeros(3, dtype=torch.long)
    found = LovaszSoftmaxLoss()(regions, target.double(), labels)
    two = torch.stack([torch.zeros_like(logits), logits], dim=1)
    torch.testing.assert_close(found, lovasz_softmax_loss(two, target))


def test_a_class_of_a_single_pixel_is_present():
    logits, target = softmax_problem()
    target[target == 1] = 0
    target[0, 1, 2] = 1
    for weight in (None, torch.full(target.shape, 0.25)):
        options = dict(weight=weight, ignore_index=255)
        found = lovasz_softmax_loss(logits, target, **options)
        listed = lovasz_softmax_loss(logits, target, classes=[0, 1, 2], **options)
        torch.testing.assert_close(found, listed)
        assert found != lovasz_softmax_loss(logits, target, classes=[0, 2], **options)


@pytest.mark.parametrize("classes", ["some", [], [0, 0], [-1, 2]])
def test_bad_classes(classes):
    with pytest.raises(ValueError, match="classes must be"):
        LovaszSoftmaxLoss(classes=classes)


def test_bad_input():
    logits, target = softmax_problem()
    with pytest.raises(ValueError, match=r"classes=\[0, 4\] holds \[4\]"):
        lovasz_softmax_loss(logits, target, classes=[0, 4], ignore_index=255)
    with pytest.raises(ValueError, match=r"0…3, but holds 255; ignore_index is None"):
        lovasz_softmax_loss(logits, target)
    with pytest.raises(ValueError, match=r"target must be 0 or 1, but holds 0\.5"):
        lovasz_hinge_loss(logits[:, 0], torch.full((2, 3, 5), 0.5))
    with pytest.raises(ValueError, match=r"per_image=True needs logits \[N, C, ...\]"):
        lovasz_softmax_loss(logits[:, :, 0, 0], target[:, 0, 0], per_image=True)
    with pytest.raises(ValueError, match="must be labels"):
        LovaszSoftmaxLoss()(logits, torch.zeros_like(logits).long())
