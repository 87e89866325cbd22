import copy
import pickle

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from tiny import batch, cascade_rcnn, faster_rcnn

from tbd.heads import InfluenceBalancedBBoxHead
from tbd.losses import influence_balanced_loss

HEAD = "tbd.InfluenceBalancedBBoxHead"
CROSS_ENTROPY = dict(type="CrossEntropyLoss")
LOSSES = {
    "ib": dict(type="tbd.InfluenceBalancedLoss"),
    "ib_detached": dict(type="tbd.InfluenceBalancedLoss", detach_factor=True),
    "ib_focal": dict(
        type="tbd.InfluenceBalancedFocalLoss", alpha=100.0, gamma=1.0, class_counts=[9, 3, 1, 4]
    ),
    "focal": dict(type="tbd.SoftmaxFocalLoss", gamma=2.0, scale=10.0),
    "ce": CROSS_ENTROPY,
}


@pytest.fixture(autouse=True, scope="module")
def _registered():
    register_all_modules()


def heads_of(config):
    heads = config["roi_head"]["bbox_head"]
    return heads if isinstance(heads, list) else [heads]


def detector(config=None, seed=0, **head):
    """A tiny detector with these options in every RoI head, its weights drawn from the seed."""
    config = config or faster_rcnn()
    for options in heads_of(config):
        options.update(head)
    torch.manual_seed(seed)
    model = MODELS.build(ConfigDict(config, _scope_="mmdet"))
    model.init_weights()
    return model.train()


def step(model, seed=0):
    """Loss values and gradients of one training step."""
    torch.manual_seed(seed)
    losses = model(**batch(model), mode="loss")
    total, values = model.parse_losses(losses)
    model.zero_grad()
    total.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return values, gradients


@pytest.mark.parametrize("name", LOSSES)
def test_a_detector_trains_with_each_loss(name):
    model = detector(type=HEAD, loss_cls=LOSSES[name])
    values, gradients = step(model)
    assert 0 < values["loss_cls"] < torch.inf
    assert set(values) >= {"loss_rpn_cls", "loss_bbox", "acc", "loss"}
    assert gradients.keys() == dict(model.named_parameters()).keys()
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert gradients["roi_head.bbox_head.shared_fcs.0.weight"].abs().sum() > 0
    before = values["loss_cls"]
    optimizer = torch.optim.SGD(model.roi_head.bbox_head.fc_cls.parameters(), 1e-3)
    optimizer.step()
    assert step(model)[0]["loss_cls"] < before


@pytest.mark.parametrize("name", ["focal", "ce"])
def test_mmdetections_own_head_takes_losses_without_features(name):
    ours = step(detector(type=HEAD, loss_cls=LOSSES[name]))
    theirs = step(detector(loss_cls=LOSSES[name]))
    assert ours[0] == theirs[0]
    assert all(torch.equal(ours[1][key], theirs[1][key]) for key in theirs[1])


def test_weights_and_predictions_are_the_plain_heads():
    ours, plain = detector(type=HEAD, loss_cls=LOSSES["ib"]), detector(seed=1)
    plain.load_state_dict(ours.state_dict(), strict=True)
    ours.load_state_dict(plain.state_dict(), strict=True)
    expected, found = (model.eval()(**batch(model), mode="predict") for model in (plain, ours))
    for one, two in zip(expected, found, strict=True):
        assert len(one.pred_instances) > 0
        for key in ("bboxes", "scores", "labels"):
            assert torch.equal(one.pred_instances[key], two.pred_instances[key])


def test_the_loss_sees_the_input_of_the_classifier(monkeypatch):
    model = detector(type=HEAD, loss_cls=LOSSES["ib"])
    head = model.roi_head.bbox_head
    seen = {}
    passes = []
    head.shared_fcs[0].register_forward_hook(lambda *_: passes.append(1))
    head.fc_cls.register_forward_hook(
        lambda module, inputs, output: seen.update(features=inputs[0], logits=output)
    )
    loss = head.loss

    def keep(cls_score, bbox_pred, rois, labels, label_weights, *rest, **options):
        seen.update(labels=labels, weights=label_weights)
        return loss(cls_score, bbox_pred, rois, labels, label_weights, *rest, **options)

    monkeypatch.setattr(head, "loss", keep)
    values, _ = step(model)
    assert len(passes) == 1
    per_sample = influence_balanced_loss(
        seen["logits"], seen["labels"], seen["features"], reduction="none"
    )
    weights = seen["weights"]
    assert (seen["labels"] < 3).any()
    expected = (per_sample * weights).sum() / (weights > 0).sum()
    assert values["loss_cls"].item() == pytest.approx(expected.item(), rel=1e-6)
    # What the loss took is not kept: its graph could not be freed.
    assert head._classified is None


def phased():
    return dict(type="tbd.TwoPhaseLoss", first=CROSS_ENTROPY, second=LOSSES["ib"])


def test_the_first_phase_is_plain_training_and_the_second_is_not():
    plain = step(detector())
    model = detector(type=HEAD, loss_cls=phased())
    loss = model.roi_head.bbox_head.loss_cls
    loss.second_phase = False
    first = step(model)
    assert first[0] == plain[0]
    assert all(torch.equal(first[1][key], plain[1][key]) for key in plain[1])
    loss.second_phase = True
    second = step(model)
    expected = step(detector(type=HEAD, loss_cls=LOSSES["ib"]))
    assert second[0]["loss_cls"] == expected[0]["loss_cls"] != first[0]["loss_cls"]
    assert second[0]["loss_bbox"] == first[0]["loss_bbox"]


def test_every_stage_of_a_cascade_has_features_of_its_own():
    model = detector(cascade_rcnn(), type=HEAD, loss_cls=LOSSES["ib"])
    sums = []
    for head in model.roi_head.bbox_head:
        head.loss_cls.register_forward_hook(
            lambda module, inputs, output: sums.append(inputs[2].sum().item())
        )
    values, gradients = step(model)
    assert len(sums) == 2
    assert sums[0] != sums[1]
    for stage in (0, 1):
        assert 0 < values[f"s{stage}.loss_cls"] < torch.inf
        assert gradients[f"roi_head.bbox_head.{stage}.fc_cls.weight"].abs().sum() > 0


@pytest.mark.parametrize("loss", [LOSSES["ib"], LOSSES["ib_focal"], phased()])
def test_a_head_that_hands_over_no_features_is_refused_when_built(loss):
    with pytest.raises(TypeError, match=r"tbd\.InfluenceBalancedBBoxHead"):
        detector(loss_cls=loss)


def test_logits_of_another_pass_are_refused():
    head = detector(type=HEAD, loss_cls=LOSSES["ib"]).roi_head.bbox_head
    x = torch.rand(4, 8, 3, 3)
    logits, deltas = head(x)
    head(x)
    labels, ones = torch.tensor([0, 1, 3, 3]), torch.ones(4)
    targets = labels, ones, torch.zeros(4, 4), torch.ones(4, 4)
    with pytest.raises(RuntimeError, match="not the tensor that the last forward"):
        head.loss(logits, deltas, torch.zeros(4, 5), *targets)


def test_no_rois_no_classification_loss():
    head = detector(type=HEAD, loss_cls=LOSSES["ib"]).roi_head.bbox_head
    logits, deltas = head(torch.rand(0, 8, 3, 3))
    empty = torch.zeros(0, dtype=torch.long), torch.zeros(0), *[torch.zeros(0, 4)] * 2
    assert set(head.loss(logits, deltas, torch.zeros(0, 5), *empty)) == {"loss_bbox"}


def test_a_head_can_be_copied_between_forward_and_loss():
    head = detector(type=HEAD, loss_cls=LOSSES["ib"]).roi_head.bbox_head
    head(torch.rand(4, 8, 3, 3))
    for twin in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        assert isinstance(twin, InfluenceBalancedBBoxHead)
        twin(torch.rand(2, 8, 3, 3))
        # The copy's hook is the copy's own.
        assert len(twin._classified[0]) == 2
        assert len(head._classified[0]) == 4
