"""What every term stands, detectors and all: no objects, levels of one cell, mixed precision."""

import copy

import pytest
import tiny
import torch
from every_term import build, types

EDGES = {
    "usual": dict(sizes=[(64, 64), (64, 64)]),
    "no objects": dict(sizes=[(64, 64), (64, 64)], boxes=0),
    # The coarsest level has one value per channel.
    "one cell": dict(sizes=[(32, 32)]),
}
NEED_OBJECTS = {
    "tbd.HarmonyDistillation": {"loss_harmony"},
    "tbd.LocalizationDistillation": {"loss_ld", "loss_ld_vlr"},
    "tbd.TaskDecoupledFeatureDistillation": {"loss_loc_feature"},
    "tbd.FocalGlobalDistillation": {"loss_foreground"},
    "tbd.PredictionGuidedDistillation": {"loss_cls", "loss_box"},
    "tbd.QualityAlignedDistillation": {"loss_bbox"},
    "tbd.QueryDistillation": {"loss_cls", "loss_l1", "loss_giou", "loss_feature"},
}
"""Losses of which nothing is left on a batch without objects."""


def losses_of(model, batch, amp):
    torch.manual_seed(2)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp):
        losses = model(**copy.deepcopy(batch), mode="loss")
    return {
        name.removeprefix("term."): loss
        for name, loss in losses.items()
        if name.startswith("term.loss")
    }


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", types())
def test_losses_and_gradients_are_finite_and_nearly_the_same_under_autocast(name, edge):
    model = build(name)
    batch = tiny.batch(model, **EDGES[edge])
    half, full = (losses_of(model, batch, amp) for amp in (True, False))
    for key, loss in half.items():
        assert loss.dtype == torch.float32
        # The features themselves are rounded to three digits.
        assert loss.item() == pytest.approx(full[key].item(), rel=0.1, abs=1e-3), key
    without = {key for key, loss in full.items() if loss == 0}
    # A level of one cell may have no location that stands for an object.
    if edge != "one cell":
        assert without == (NEED_OBJECTS.get(name, set()) if edge == "no objects" else set())
    torch.stack([*half.values(), *full.values()]).sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    moved = any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.student.parameters())
    assert moved == (len(without) < len(full))


def test_every_term_that_needs_objects_is_a_term():
    assert NEED_OBJECTS.keys() <= set(types())
