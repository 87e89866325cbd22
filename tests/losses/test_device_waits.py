import pytest
import torch
from device_waits import DeviceWaits
from torch import nn

import tbd.losses
from tbd.losses import checks
from tbd.losses.segmentation import SegmentationLoss, select_channel
from tbd.losses.softmax_loss import SoftmaxLoss
from tbd.registry import MODELS

SEGMENTATION = [
    dict(type=f"tbd.{name}", **options)
    for name, options in [
        ("BCEDiceLoss", dict()),
        ("BinaryFocalLoss", dict(alpha=0.25)),
        ("ComboLoss", dict()),
        ("DiceLoss", dict(per_class=False)),
        ("FocalTverskyLoss", dict()),
        ("JaccardLoss", dict()),
        ("LovaszHingeLoss", dict()),
        ("LovaszSoftmaxLoss", dict()),
        ("LovaszSoftmaxLoss", dict(classes=[0, 1])),
        ("TverskyLoss", dict()),
    ]
]
WEIGHTED = dict(class_weight=(1.0, 2.0, 3.0), avg_non_ignore=True)
CLASSIFICATION = [
    dict(type="tbd.SoftmaxFocalLoss", gamma=2.0, **WEIGHTED),
    dict(type="tbd.InfluenceBalancedLoss", **WEIGHTED),
    dict(type="tbd.InfluenceBalancedFocalLoss", alpha=1.0, gamma=2.0, **WEIGHTED),
]


def segmentation_inputs(device):
    logits = torch.zeros(2, 3, 4, 4, device=device, requires_grad=True)
    labels = torch.zeros(2, 4, 4, dtype=torch.long, device=device)
    regions = torch.zeros(2, dtype=torch.long, device=device)
    weight = torch.ones(2, 4, 4, device=device)
    return logits, labels, regions, weight


def classification_inputs(loss, device):
    logits = torch.zeros(5, 3, device=device, requires_grad=True)
    labels = torch.zeros(5, dtype=torch.long, device=device)
    features = torch.ones(5, 7, device=device)
    return logits, (labels, features) if getattr(loss, "needs_features", False) else (labels,)


def run_segmentation(loss, device):
    logits, labels, regions, weight = segmentation_inputs(device)
    as_head = loss(logits, labels, weight=weight)
    as_mask_head = loss(logits, labels.float(), regions, weight=weight)
    (as_head.sum() + as_mask_head.sum()).backward()


def run_classification(loss, device):
    logits, arguments = classification_inputs(loss, device)
    loss(logits, *arguments, weight=torch.ones(5, device=device)).backward()


CASES = [
    *((config, run_segmentation) for config in SEGMENTATION),
    *((config, run_classification) for config in CLASSIFICATION),
]


def test_every_loss_is_looked_at():
    shown = {config["type"].removeprefix("tbd.") for config, _ in CASES}
    own = {
        name
        for name in tbd.losses.__all__
        if isinstance(cls := getattr(tbd.losses, name), type) and issubclass(cls, nn.Module)
    }
    # It runs other losses and adds nothing of its own.
    assert own - {"TwoPhaseLoss"} == shown


@pytest.mark.parametrize(("config", "run"), CASES)
def test_no_loss_waits_for_the_device(config, run):
    loss = MODELS.build(config)
    run(loss, "meta")
    with DeviceWaits() as waits:
        run(loss, "meta")
    assert waits.copies == []
    assert waits.assertions > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("config", "run"), CASES)
def test_no_loss_waits_for_a_gpu(config, run):
    loss = MODELS.build(config).cuda()
    run(loss, "cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(loss, "cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("config", "run"), CASES)
def test_checks_that_read_values_would_be_noticed(config, run, monkeypatch):
    monkeypatch.setattr(checks, "_ASSERTING_DEVICES", ("cuda",))
    loss = MODELS.build(config)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        run(loss, "meta")


def test_copies_to_the_device_would_be_noticed():
    values = torch.zeros(3, device="meta")
    with DeviceWaits() as waits:
        values[[0, 2]] = 1
        torch.tensor([1.0, 2.0]).to("meta")
        torch.tensor(1.0, device="meta")
        values + torch.tensor(1.0)
        values.sum() + 1.0
    assert len(waits.copies) == 3


@pytest.mark.parametrize("config", SEGMENTATION)
@pytest.mark.parametrize("wrong", ["labels", "masks", "regions", "weight"])
def test_what_a_device_asserts_is_what_the_cpu_refuses(config, wrong, monkeypatch):
    loss = MODELS.build(config)
    assert isinstance(loss, SegmentationLoss)
    logits, labels, regions, weight = segmentation_inputs("cpu")
    masks = labels.float()
    dict(labels=labels, masks=masks, regions=regions, weight=weight)[wrong].view(-1)[0] = -1

    def run():
        if wrong in ("labels", "weight"):
            return loss(logits, labels, weight=weight)
        return loss(logits, masks, regions, weight=weight)

    with pytest.raises(ValueError, match="but holds -1"):
        run()
    monkeypatch.setattr(checks, "_ASSERTING_DEVICES", ("cpu",))
    with pytest.raises(RuntimeError, match=r"(target|labels|weight) must be (?!.*holds)"):
        run()


@pytest.mark.parametrize("config", CLASSIFICATION)
def test_a_device_asserts_labels_of_classifiers(config, monkeypatch):
    monkeypatch.setattr(checks, "_ASSERTING_DEVICES", ("cpu",))
    loss = MODELS.build(config)
    assert isinstance(loss, SoftmaxLoss)
    logits, (labels, *rest) = classification_inputs(loss, "cpu")
    loss(logits, labels, *rest)
    with pytest.raises(RuntimeError, match=r"target must be labels in 0…2"):
        loss(logits, labels + 3, *rest)


@pytest.mark.parametrize("device_asserts", [False, True])
def test_anomaly_detection_brings_the_message_back(device_asserts, monkeypatch):
    if device_asserts:
        monkeypatch.setattr(checks, "_ASSERTING_DEVICES", ("cpu",))
    labels = torch.tensor([0, 7])
    with (
        torch.autograd.detect_anomaly(check_nan=False),
        pytest.raises(ValueError, match=r"labels must be in 0…2, but holds 7\."),
    ):
        select_channel(torch.zeros(2, 3), labels)
