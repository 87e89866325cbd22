"""Detectors with the channels innermost learn and teach the same."""

import pytest
import torch
from executed import TERMS, assert_equal_losses, build

from tbd.detectors.execution.packed_weights import PackedConv2d


@pytest.mark.parametrize("name", TERMS)
def test_channels_last_changes_no_loss(name):
    model = build(
        name,
        teacher_execution=dict(channels_last=True),
        student_execution=dict(channels_last=True),
    )
    plain = dict(fold_norms=False, pack_weights=False)
    assert_equal_losses(model, build(name, teacher_execution=plain))
    for detector in (model.student, model.teacher):
        weight = detector.backbone.layer1[0].conv1.weight
        assert weight.is_contiguous(memory_format=torch.channels_last)


def test_packed_weights_and_channels_last_go_together():
    model = build(teacher_execution=dict(channels_last=True))
    assert_equal_losses(model, build(teacher_execution=dict(pack_weights=False)))
    assert isinstance(model.teacher.backbone.layer1[0].conv1, PackedConv2d)
