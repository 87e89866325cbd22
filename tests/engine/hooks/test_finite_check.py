from types import SimpleNamespace

import pytest
import torch
from device_waits import DeviceWaits
from mmdet.models import RetinaNet
from mmengine.hooks import CheckpointHook
from tiny import retinanet, wrapper
from tiny_run import config_dict, write_config, write_data
from torch import nn

from tbd.compat import load_checkpoint
from tbd.detectors import TeacherStudentDetector
from tbd.engine import train
from tbd.engine.hooks import FiniteCheckHook


@pytest.fixture
def content(tmp_path):
    write_data(tmp_path / "data")
    return config_dict(tmp_path / "data", wrapper(), epochs=4)


def run(content, tmp_path, **arguments):
    return train(write_config(tmp_path / "run.py", content), str(tmp_path / "work"), **arguments)


def fail_from(monkeypatch, iteration, damage):
    """Let ``damage(model, losses)`` change the losses from an iteration on."""
    loss = TeacherStudentDetector.loss
    steps = []

    def failing(self, *args):
        losses = loss(self, *args)
        steps.append(1)
        return damage(self, losses) if len(steps) >= iteration else losses

    monkeypatch.setattr(TeacherStudentDetector, "loss", failing)


def checkpoints(tmp_path):
    return sorted(path.name for path in (tmp_path / "work").glob("*.pth"))


def infinite(model, losses):
    return losses | {"hd.loss_harmony": losses["hd.loss_harmony"] * float("inf")}


@pytest.mark.openmmlab
def test_a_loss_that_is_no_number_stops_before_the_next_checkpoint(content, tmp_path, monkeypatch):
    fail_from(monkeypatch, 10, infinite)
    with pytest.raises(FloatingPointError, match=r"hd\.loss_harmony is inf in iteration 10 \(epo"):
        run(content, tmp_path)
    assert checkpoints(tmp_path) == ["epoch_1.pth", "epoch_2.pth"]
    monkeypatch.undo()
    run(content, tmp_path, resume="auto")
    assert "student.pth" in checkpoints(tmp_path)


def test_a_plain_training_stops_too(content, tmp_path, monkeypatch):
    content["model"] = retinanet()
    content["train_cfg"]["val_interval"] = 9
    loss = RetinaNet.loss
    steps = []

    def failing(self, *args):
        steps.append(1)
        losses = loss(self, *args)
        return (
            losses | dict(loss_cls=[float("nan") * losses["loss_cls"][0]])
            if len(steps) > 5
            else losses
        )

    monkeypatch.setattr(RetinaNet, "loss", failing)
    with pytest.raises(FloatingPointError, match="loss_cls is nan in iteration 6 "):
        run(content, tmp_path)
    assert checkpoints(tmp_path) == ["epoch_1.pth"]


def test_checkpoints_by_iteration_are_kept_too(content, tmp_path, monkeypatch):
    content["default_hooks"]["checkpoint"] |= dict(by_epoch=False, interval=2, max_keep_ckpts=2)
    fail_from(monkeypatch, 5, infinite)
    with pytest.raises(FloatingPointError, match="in iteration 5 "):
        run(content, tmp_path)
    assert checkpoints(tmp_path) == ["iter_2.pth", "iter_4.pth"]


def test_a_weight_that_is_no_number_stops_though_losses_are_good(content, tmp_path, monkeypatch):
    def damage(model, losses):
        # Of a layer that no loss of this model reads any more.
        model.student.extra.data.fill_(float("nan"))
        return losses

    init = TeacherStudentDetector.__init__

    def with_extra(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self.student.extra = nn.Parameter(torch.zeros(2))

    monkeypatch.setattr(TeacherStudentDetector, "__init__", with_extra)
    fail_from(monkeypatch, 6, damage)
    with pytest.raises(FloatingPointError, match=r"student\.extra \(nan\) is no number after iter"):
        run(content, tmp_path)
    assert checkpoints(tmp_path) == ["epoch_1.pth"]


@pytest.mark.parametrize(
    "options",
    [
        {"optim_wrapper.optimizer.lr": 1e30},
        {"model.distill.hd.loss_weight": 1e30},
    ],
)
def test_settings_that_ruin_a_training_leave_no_checkpoint(content, tmp_path, options):
    with pytest.raises(FloatingPointError, match=r"(in|after) iteration [1-4]"):
        run(content, tmp_path, options=options)
    assert checkpoints(tmp_path) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_such_weights_are_neither_resumed_nor_loaded(content, tmp_path, value):
    content["train_cfg"]["max_epochs"] = 1
    run(content, tmp_path)
    checkpoint = load_checkpoint(tmp_path / "work" / "epoch_1.pth")
    checkpoint["state_dict"]["student.bbox_head.retina_cls.bias"][3] = value
    torch.save(checkpoint, tmp_path / "bad.pth")
    content["train_cfg"]["max_epochs"] = 2
    named = rf"student\.bbox_head\.retina_cls\.bias \({value}\)"
    with pytest.raises(ValueError, match=named):
        run(content, tmp_path, resume=str(tmp_path / "bad.pth"))
    with pytest.raises(ValueError, match=rf"load_from=.*{named}"):
        run(content, tmp_path, options={"load_from": str(tmp_path / "bad.pth")})


class Step:
    """What the hook sees of a runner, with or without a gradient scaler."""

    def __init__(self, scaler):
        self.runner = SimpleNamespace(
            iter=0,
            epoch=0,
            max_iters=1000,
            work_dir="work",
            hooks=[CheckpointHook(by_epoch=True)],
            model=nn.Linear(1, 1),
            optim_wrapper=SimpleNamespace(**({"loss_scaler": 1} if scaler else {})),
        )
        self.hook = FiniteCheckHook(interval=10)

    def losses(self, *values):
        for value in values:
            self.hook.after_train_iter(self.runner, 0, None, {"loss": torch.tensor(value)})
            self.runner.iter += 1


def test_a_gradient_scaler_may_leave_out_steps_but_not_all():
    nan = float("nan")
    step = Step(scaler=True)
    step.losses(*[1.0, nan, nan, 1.0] * 10)
    with pytest.raises(FloatingPointError, match="loss is nan in iteration 42 "):
        step.losses(1.0, *[nan] * 40)
    with pytest.raises(FloatingPointError, match="loss is nan in iteration 2 "):
        Step(scaler=False).losses(*[1.0, nan, 1.0, 1.0] * 10)


def test_masks_of_infinities_are_no_failure():
    step = Step(scaler=False)
    step.runner.model.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    step.losses(*[1.0] * 20)


def test_no_step_waits_for_the_device():
    step = Step(scaler=False)
    losses = {name: torch.tensor(1.0, device="meta") for name in ("loss", "loss_cls")}
    with DeviceWaits() as waits:
        for _ in range(3):
            step.hook.after_train_iter(step.runner, 0, None, losses)
    assert not waits.copies
