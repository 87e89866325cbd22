import math

import pytest
import tiny
import torch
from mmengine.dataset import pseudo_collate

from tbd.registry import MODELS
from tbd.studies.gradients import measure_directions

OWN = ["loss_cls", "loss_bbox"]


def build(**distill):
    torch.manual_seed(0)
    model = MODELS.build(tiny.wrapper(distill=distill))
    model.init_weights()
    return model.train()


def stored_gradient(model, batch, name):
    """Of one loss, by hand: what autograd stores on the neck's outputs, in one long vector."""
    outputs = []
    handle = model.student.neck.register_forward_hook(lambda m, i, o: outputs.extend(o))
    data = model.data_preprocessor(batch, True)
    losses = model.loss(data["inputs"], data["data_samples"])
    handle.remove()
    for output in outputs:
        output.retain_grad()
    value = losses[name]
    (sum(value) if isinstance(value, list) else value).backward()
    model.zero_grad()
    return torch.cat(
        [(torch.zeros_like(o) if o.grad is None else o.grad).double().flatten() for o in outputs]
    )


def test_sizes_and_cosines_are_those_of_the_stored_gradients():
    model = build(
        hd=dict(type="tbd.HarmonyDistillation", loss_weight=3.0),
        pkd=dict(type="tbd.PearsonFeatureDistillation"),
    )
    batches = [pseudo_collate(tiny.samples()[:1]), pseudo_collate(tiny.samples())]
    found = measure_directions(model, batches).losses
    assert list(found) == [*OWN, "hd.loss_harmony", "pkd.loss_feature"]
    for name, direction in found.items():
        sizes, cosines = [], {part: [] for part in OWN}
        for batch in batches:
            parts = {part: stored_gradient(model, batch, part) for part in OWN}
            gradient = stored_gradient(model, batch, name)
            sizes.append(float(gradient.norm() / sum(parts.values()).norm()))
            for part, other in parts.items():
                cosines[part].append(float(gradient @ other / gradient.norm() / other.norm()))
        assert direction.size == pytest.approx(sum(sizes) / 2, rel=1e-4)
        for part in OWN:
            assert direction.cosines[part] == pytest.approx(sum(cosines[part]) / 2, abs=1e-5)
    assert found["loss_cls"].cosines["loss_cls"] == pytest.approx(1)


def test_a_weight_changes_the_size_alone():
    batch = pseudo_collate(tiny.samples())
    one, three = (
        measure_directions(
            build(hd=dict(type="tbd.HarmonyDistillation", loss_weight=weight)), [batch]
        ).losses["hd.loss_harmony"]
        for weight in (1.0, 3.0)
    )
    assert three.size == pytest.approx(3 * one.size, rel=1e-4)
    assert three.cosines == pytest.approx(one.cosines, abs=1e-5)


def test_measuring_leaves_no_gradient_and_no_change():
    model = build(pkd=dict(type="tbd.PearsonFeatureDistillation"))
    before = {key: value.clone() for key, value in model.named_parameters()}
    measure_directions(model, [pseudo_collate(tiny.samples())])
    for key, value in model.named_parameters():
        assert value.grad is None, key
        assert torch.equal(value, before[key]), key


def test_losses_that_do_not_pull_are_left_out():
    # Nothing to place: the loss of boxes has no gradient on the only batch, or on one of two.
    full = tiny.samples()
    empty = tiny.samples()
    for sample in empty:
        sample["data_samples"].gt_instances = sample["data_samples"].gt_instances[:0]
    model = build(pkd=dict(type="tbd.PearsonFeatureDistillation"))
    found = measure_directions(model, [pseudo_collate(empty)]).losses
    assert list(found) == ["loss_cls", "pkd.loss_feature"]
    assert list(found["pkd.loss_feature"].cosines) == ["loss_cls"]
    both = measure_directions(model, [pseudo_collate(empty), pseudo_collate(full)]).losses
    alone = measure_directions(model, [pseudo_collate(full)]).losses
    assert both["pkd.loss_feature"].cosines["loss_bbox"] == pytest.approx(
        alone["pkd.loss_feature"].cosines["loss_bbox"], abs=1e-5
    )
    assert all(math.isfinite(direction.size) for direction in both.values())
