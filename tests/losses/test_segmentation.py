"""What holds for every segmentation loss, whatever its formula."""

import pytest
import torch

from tbd.losses import (
    BCEDiceLoss,
    BinaryFocalLoss,
    ComboLoss,
    DiceLoss,
    FocalTverskyLoss,
    JaccardLoss,
    LovaszHingeLoss,
    LovaszSoftmaxLoss,
    TverskyLoss,
)
from tbd.registry import MODELS

BINARY = {
    "dice": (DiceLoss, {}),
    "bce-dice": (BCEDiceLoss, {}),
    "jaccard": (JaccardLoss, {}),
    "focal": (BinaryFocalLoss, dict(alpha=0.25)),
    "focal of the mean": (BinaryFocalLoss, dict(pixelwise=False)),
    "focal, gamma below 1": (BinaryFocalLoss, dict(gamma=0.5)),
    "tversky": (TverskyLoss, {}),
    "focal tversky": (FocalTverskyLoss, {}),
    "lovasz hinge": (LovaszHingeLoss, dict(per_image=False)),
    "combo": (ComboLoss, dict(alpha=0.7)),
}
ALL = BINARY | {"lovasz softmax": (LovaszSoftmaxLoss, {})}


def build(name, **options):
    cls, defaults = ALL[name]
    return cls(**(defaults | options))


def regions(count=4, classes=3, size=6, seed=0):
    """Logits of a mask head, masks and classes of the regions."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, classes, size, size, generator=generator, dtype=torch.float64)
    masks = torch.randint(0, 2, (count, size, size), generator=generator).double()
    return logits, masks, torch.randint(0, classes, (count,), generator=generator)


def images(seed=0):
    """Logits of a semantic head and its labels, with some padding."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, 4, 5, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (2, 5, 6), generator=generator)
    labels[0, :, 4:] = 255
    return logits, labels


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_those_of_finite_differences(name):
    logits, masks, labels = regions(count=2, size=3)
    loss = build(name)
    arguments = logits.requires_grad_(), masks, labels
    torch.autograd.gradcheck(lambda x: loss(x, *arguments[1:]), arguments[0])
    x, target = images()
    loss = build(name, ignore_index=255)
    torch.autograd.gradcheck(lambda x: loss(x, target), x.requires_grad_())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_logits_have_finite_values_and_gradients(name, dtype):
    _, masks, labels = regions()
    right = (1e4 * (2 * masks - 1)).to(dtype)
    for logits in (right, -right, torch.zeros_like(right)):
        x = logits[:, None].expand(-1, 3, -1, -1).clone().requires_grad_()
        value = build(name)(x, masks, labels)
        value.backward()
        assert value.isfinite()
        assert x.grad.isfinite().all()
        if logits is right:
            assert value.item() == pytest.approx(-0.5 if name == "combo" else 0)


@pytest.mark.parametrize("name", ALL)
def test_the_order_of_pixels_does_not_matter(name):
    logits, masks, labels = regions()
    order = torch.randperm(36, generator=torch.Generator().manual_seed(0))
    shuffled = logits.flatten(2)[..., order], masks.flatten(1)[..., order]
    loss = build(name, per_image=True, reduction="none")
    found = loss(*shuffled, labels)
    torch.testing.assert_close(found, loss(logits, masks, labels))


@pytest.mark.parametrize("name", ALL)
def test_ignored_pixels_are_as_if_removed_and_weights_as_if_repeated(name):
    logits, masks, labels = regions()
    reference = build(name)(
        torch.cat([logits[..., 2:], logits[..., 2:3]], dim=-1),
        torch.cat([masks[..., 2:], masks[..., 2:3]], dim=-1),
        labels,
    )
    ignored = masks.clone()
    ignored[..., :2] = 255
    weight = torch.ones_like(masks)
    weight[..., 2] = 2
    logits.requires_grad_()
    value = build(name, ignore_index=255)(logits, ignored, labels, weight=weight)
    torch.testing.assert_close(value, reference)
    value.backward()
    assert not logits.grad[..., :2].any()

    x, target = images()
    value = build(name, ignore_index=255)(x, target)
    flat = x.movedim(1, -1)[target != 255], target[target != 255]
    torch.testing.assert_close(value, build(name)(*flat))
    weight = torch.ones_like(target, dtype=x.dtype)
    weight[:, 3] = 2
    twice = torch.cat([x, x[:, :, 3:4]], dim=2), torch.cat([target, target[:, 3:4]], dim=1)
    loss = build(name, ignore_index=255)
    torch.testing.assert_close(loss(x, target, weight=weight), loss(*twice))


@pytest.mark.parametrize("name", ALL)
def test_nothing_that_counts_has_the_best_value_and_no_gradient(name):
    logits, masks, labels = regions()
    best = -0.5 if name == "combo" else 0.0
    for per_image in (False, True):
        loss = build(name, ignore_index=255, per_image=per_image)
        x = logits.clone().requires_grad_()
        value = loss(x, torch.full_like(masks, 255), labels)
        value.backward()
        assert value.item() == pytest.approx(best)
        assert not x.grad.any()
        # No region at all.
        x = logits[:0].clone().requires_grad_()
        value = loss(x, masks[:0], labels[:0])
        value.backward()
        assert value.isfinite()
    x, target = images()
    x.requires_grad_()
    value = build(name, ignore_index=255)(x, torch.full_like(target, 255))
    value.backward()
    assert value.item() == pytest.approx(best)
    assert not x.grad.any()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name, dtype):
    logits, masks, labels = regions(count=2, classes=2, size=400)
    exact = build(name)(logits.float(), masks, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = build(name)(logits.to(dtype), masks, labels)
    assert value.dtype == torch.float32
    # 160,000 pixels: a sum of them would overflow half precision.
    assert value.item() == pytest.approx(exact.item(), rel=1e-2)
    torch.testing.assert_close(value, build(name)(logits.to(dtype).float(), masks, labels))


@pytest.mark.parametrize("name", ALL)
def test_the_channel_is_picked_by_label(name):
    logits, masks, labels = regions()
    logits.requires_grad_()
    build(name)(logits, masks, labels).backward()
    others = torch.ones(4, 3, dtype=torch.bool)
    others[torch.arange(4), labels] = False
    assert not logits.grad[others].any()
    assert logits.grad[~others].flatten(1).any(dim=1).all()
    # Class-agnostic heads have one channel and zeros as labels.
    picked = logits.detach()[torch.arange(4), labels]
    value = build(name)(picked[:, None], masks, torch.zeros_like(labels))
    torch.testing.assert_close(value, build(name)(logits.detach(), masks, labels))
    if name in BINARY:
        torch.testing.assert_close(build(name)(picked, masks), value)


@pytest.mark.parametrize("name", BINARY)
def test_labels_are_one_against_the_rest(name):
    logits, labels = images()
    options = dict(ignore_index=255, reduction="none")
    masks = torch.stack([(labels == c).long() for c in range(4)], dim=1)
    masks = masks.masked_fill((labels == 255)[:, None], 255)
    loss = build(name, **options)
    found = build(name, **options, per_class=False)(logits, labels)
    torch.testing.assert_close(found, loss(logits, masks))
    found = build(name, **options, per_class=False, per_image=True)(logits, labels)
    expected = torch.stack([loss(logits[n], masks[n]) for n in range(2)])
    torch.testing.assert_close(found, expected)
    found = loss(logits, labels)
    expected = torch.stack([loss(logits[:, c], masks[:, c]) for c in range(4)])
    torch.testing.assert_close(found, expected)
    found = build(name, **options, per_image=True)(logits, labels)
    expected = torch.stack([loss(logits[n, c], masks[n, c]) for c in range(4) for n in range(2)])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ALL)
def test_a_head_that_flattens_its_images_gets_the_same(name):
    logits, labels = images()
    loss = build(name, ignore_index=255)
    flat = logits.permute(0, 2, 3, 1).reshape(-1, 4), labels.reshape(-1)
    torch.testing.assert_close(loss(*flat), loss(logits, labels))
    with pytest.raises(ValueError, match="per_image"):
        build(name, ignore_index=255, per_image=True)(*flat)


@pytest.mark.parametrize("name", ALL)
def test_reduction(name):
    logits, masks, labels = regions()
    values = build(name, per_image=True, reduction="none")(logits, masks, labels)
    assert values.shape == (4,)
    loss = build(name, per_image=True, loss_weight=3.0)
    torch.testing.assert_close(loss(logits, masks, labels), 3 * values.mean())
    found = loss(logits, masks, labels, reduction_override="sum")
    torch.testing.assert_close(found, 3 * values.sum())
    found = loss(logits, masks, labels, avg_factor=8.0)
    torch.testing.assert_close(found, 3 * values.sum() / 8)
    for i in range(4):
        one = logits[i : i + 1], masks[i : i + 1], labels[i : i + 1]
        torch.testing.assert_close(build(name)(*one), values[i])
    with pytest.raises(ValueError, match=r"avg_factor=8\.0 .* per_image=True"):
        build(name)(logits, masks, labels, avg_factor=8.0)
    with pytest.raises(ValueError, match="reduction_override='max'"):
        loss(logits, masks, labels, reduction_override="max")
    with pytest.raises(ValueError, match="reduction='max'"):
        build(name, reduction="max")


@pytest.mark.parametrize("name", ALL)
def test_registered_apart_from_mmdetections(name):
    cls, options = ALL[name]
    assert type(MODELS.build(dict(type=f"tbd.{cls.__name__}", **options))) is cls


X, M, L = regions()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X, M[:, :3], L), ValueError, "target must"),
        ((X, M, L[:2]), ValueError, r"labels must be \[R\]"),
        ((X, M, M), ValueError, "weights of pixels are the keyword weight"),
        ((X, M, L + 2), ValueError, r"labels must be in 0…2, but holds \d"),
        ((X, M, L.double()), TypeError, "labels must hold integer labels"),
        ((X.long(), M, L), TypeError, "logits must be floating point"),
        ((X, M + 1, L), ValueError, "target must be .* but holds 2"),
        ((X, -M, L), ValueError, "target must be .* but holds -1"),
        ((X, M * 1j, L), TypeError, "target must"),
        ((X, M), TypeError, "target must hold integer labels"),
        ((X, M.long() + 2), ValueError, "target must be labels in 0…2, but holds 3"),
        ((X, M.long() - 1), ValueError, "target must be labels in 0…2, but holds -1"),
        ((X[:, :1], M.long()), ValueError, "one class only"),
        ((X, M[0].long()), ValueError, "target must"),
    ],
)
def test_bad_input_is_named(name, arguments, error, message):
    with pytest.raises(error, match=message):
        build(name)(*arguments)


@pytest.mark.parametrize("name", ALL)
def test_bad_weights_are_named(name):
    with pytest.raises(ValueError, match="weight must have the shape"):
        build(name)(X, M, L, weight=torch.ones(3))
    with pytest.raises(ValueError, match="weight must be at least 0, but holds -1"):
        build(name)(X, M, L, weight=-torch.ones_like(M))


@pytest.mark.parametrize("name", ALL)
def test_nan_logits_are_reported_in_debug_mode(name):
    broken = X.clone()
    broken[:, :, 0, 0] = torch.nan
    with (
        pytest.warns(UserWarning, match="Anomaly Detection"),
        torch.autograd.detect_anomaly(),
        pytest.raises(ValueError, match="logits hold 12 NaN"),
    ):
        build(name)(broken, M, L)
