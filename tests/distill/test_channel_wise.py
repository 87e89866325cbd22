import math

import pytest
import tiny
import torch
from distilled import distilled, feature_spec, half_precision_views
from reference import reference

from tbd.distill import ChannelWiseDistillation, channel_wise_loss


def features(*shape, scale=1.0):
    generator = torch.Generator().manual_seed(sum(shape))
    feat_s, feat_t = scale * torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return feat_s.requires_grad_(), feat_t


def in_loops(feat_s, feat_t, temperature):
    total = 0.0
    for channel_s, channel_t in zip(feat_s.flatten(0, 1), feat_t.flatten(0, 1), strict=True):
        values_s, values_t = channel_s.flatten().tolist(), channel_t.flatten().tolist()
        sum_s = sum(math.exp(value / temperature) for value in values_s)
        sum_t = sum(math.exp(value / temperature) for value in values_t)
        for value_s, value_t in zip(values_s, values_t, strict=True):
            p_s, p_t = (
                math.exp(value_s / temperature) / sum_s,
                math.exp(value_t / temperature) / sum_t,
            )
            total += p_t * math.log(p_t / p_s)
    return temperature**2 * total / (feat_s.shape[0] * feat_s.shape[1])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_loss_equals_the_formula_in_loops(temperature):
    feat_s, feat_t = features(2, 3, 4, 5)
    loss = channel_wise_loss(feat_s, feat_t, temperature)
    assert loss.item() == pytest.approx(in_loops(feat_s, feat_t, temperature), rel=1e-12)
    assert torch.autograd.gradcheck(lambda f: channel_wise_loss(f, feat_t, temperature), feat_s)


def test_value_and_gradient_are_those_of_the_public_code():
    expected = reference("channel_wise")
    feat_s = expected["feat_s"].requires_grad_()
    loss = channel_wise_loss(feat_s, expected["feat_t"], expected["temperature"].item())
    (gradient,) = torch.autograd.grad(loss, feat_s)
    torch.testing.assert_close(loss, expected["loss"], rtol=1e-10, atol=0)
    torch.testing.assert_close(gradient, expected["gradient"], rtol=1e-10, atol=1e-14)


def test_a_shift_of_a_channel_does_not_count():
    feat_s, _ = features(2, 3, 4, 5)
    shift = torch.randn(2, 3, 1, 1, dtype=torch.float64)
    assert channel_wise_loss(feat_s + shift, feat_s, 1.0).item() == pytest.approx(0, abs=1e-12)


def test_large_features_do_not_overflow():
    feat_s, feat_t = features(1, 2, 3, 3, scale=1e4)
    loss = channel_wise_loss(feat_s, feat_t, 1.0)
    assert loss.isfinite()
    assert torch.autograd.grad(loss, feat_s)[0].isfinite().all()


def test_a_single_location_costs_nothing():
    feat_s, feat_t = features(2, 3, 1, 1)
    loss = channel_wise_loss(feat_s, feat_t, 1.0)
    assert loss == 0
    assert (torch.autograd.grad(loss, feat_s)[0] == 0).all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_out_of_range_is_refused(temperature):
    feat_s, feat_t = features(1, 1, 2, 2)
    with pytest.raises(ValueError, match="temperature="):
        channel_wise_loss(feat_s, feat_t, temperature)
    with pytest.raises(ValueError, match="temperature="):
        ChannelWiseDistillation(temperature=temperature)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\[1, 2, 3, 3\].*\[1, 2, 3, 1\]"):
        channel_wise_loss(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 1), 1.0)


def test_term_sums_the_levels_of_half_precision_features_in_float32():
    term = ChannelWiseDistillation(loss_weight=3.0, temperature=2.0)
    term.connect(feature_spec("student", 4, 4), feature_spec("teacher", 4, 4))
    student, teacher = half_precision_views([(2, 4, 5, 4), (2, 4, 1, 1)])
    loss = term(student, teacher)["loss_feature"]
    expected = channel_wise_loss(student.features[0].float(), teacher.features[0].float(), 2.0)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, 3 * expected)


def test_a_detector_is_distilled():
    term = dict(type="tbd.ChannelWiseDistillation")
    losses = distilled(tiny.retinanet(), tiny.retinanet(width=8, channels=16), term)
    assert losses["loss_feature"] > 0
