import pytest
import torch
from torch import nn
from views import view

from tbd.distill import DetectorSpec
from tbd.distill.feature_term import FeatureTerm


class LevelMeans(FeatureTerm):
    """The mean of the adapted features of each level, so that sums are easy to follow."""

    def settings(self):
        return {"colour": "blue"}

    def forward(self, student, teacher):
        return {"loss": self.total([feat_s.mean() for feat_s, _ in self.pairs(student, teacher)])}


def spec(role, *channels):
    return DetectorSpec(role, "Detector", "neck", channels, ((8, 8),) * len(channels), None)


def connected(channels_s=(1, 1), channels_t=(1, 1), **options):
    term = LevelMeans(**options)
    term.connect(spec("student", *channels_s), spec("teacher", *channels_t))
    return term


def level(value, channels=1, dtype=torch.float32):
    return torch.full((1, channels, 2, 2), value, dtype=dtype)


@pytest.mark.parametrize(("level_weights", "expected"), [(None, 20.0), ((3, 0.25), 16.0)])
def test_levels_are_weighted(level_weights, expected):
    student = view(features=(level(2.0), level(8.0)))
    term = connected(loss_weight=2.0, level_weights=level_weights)
    assert term(student, student)["loss"] == expected


@pytest.mark.parametrize("level_weights", [(1.0,), (1, 1, 1)])
def test_weights_for_other_levels_are_refused(level_weights):
    with pytest.raises(ValueError, match=r"level_weights=.*2 pyramid levels"):
        connected(level_weights=level_weights)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_out_of_range_are_refused(weight):
    with pytest.raises(ValueError, match=r"level_weights\[1\]="):
        LevelMeans(level_weights=(1.0, weight))


def test_student_is_adapted_in_float32_and_teacher_is_a_constant():
    term = connected((2,), (3,))
    assert isinstance(term.adaptations[0], nn.Conv2d)
    student = view(features=(level(2.0, 2, torch.bfloat16),))
    teacher = view(features=(level(1.0, 3, torch.bfloat16).requires_grad_(),))
    ((feat_s, feat_t),) = term.pairs(student, teacher)
    assert feat_s.dtype == feat_t.dtype == torch.float32
    assert feat_s.shape == feat_t.shape
    assert feat_s.requires_grad
    assert not feat_t.requires_grad


def test_report_names_the_settings():
    described = connected(loss_weight=2.0, level_weights=(1, 2)).describe()
    assert described == (
        "LevelMeans(loss_weight=2.0, adaptation=auto, level_weights=(1.0, 2.0), colour=blue)"
    )
