import pytest
import torch
from tiny import retinanet, wrapper
from tiny_run import config_dict, write_config, write_data

from tbd.compat import load_checkpoint
from tbd.detectors import TeacherStudentDetector
from tbd.engine import train


class InterruptionError(Exception):
    pass


@pytest.fixture
def content(tmp_path):
    """A run of 8 iterations, 4 in an epoch, whose model draws random numbers."""
    write_data(tmp_path / "data")
    return config_dict(tmp_path / "data", wrapper(), epochs=2)


def run(content, tmp_path, name, **arguments):
    return train(write_config(tmp_path / "run.py", content), str(tmp_path / name), **arguments)


def interrupt(content, tmp_path, name, monkeypatch, before):
    """Run until an iteration, counted from 1, is about to begin."""
    step = TeacherStudentDetector.train_step
    steps = []

    def interrupted(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == before:
            raise InterruptionError
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(TeacherStudentDetector, "train_step", interrupted)
        with pytest.raises(InterruptionError):
            run(content, tmp_path, name)


def assert_equal_weights(one, two):
    one, two = (load_checkpoint(path)["state_dict"] for path in (one, two))
    assert one.keys() == two.keys()
    assert [key for key in one if not torch.equal(one[key], two[key])] == []


@pytest.mark.openmmlab
def test_a_checkpoint_between_two_steps_of_the_optimizer_is_exact(content, tmp_path, monkeypatch):
    content["optim_wrapper"]["accumulative_counts"] = 3
    run(content, tmp_path, "whole")
    interrupt(content, tmp_path, "resumed", monkeypatch, before=6)
    held = load_checkpoint(tmp_path / "resumed" / "epoch_1.pth")["accumulated_gradients"]
    assert any(gradient.abs().sum() > 0 for gradient in held.values())
    run(content, tmp_path, "resumed", resume="auto")
    assert_equal_weights(tmp_path / "whole/epoch_2.pth", tmp_path / "resumed/epoch_2.pth")


def test_gradients_that_a_checkpoint_lacks_are_an_error(content, tmp_path, monkeypatch):
    content["optim_wrapper"]["accumulative_counts"] = 3
    interrupt(content, tmp_path, "work", monkeypatch, before=5)
    path = tmp_path / "work" / "epoch_1.pth"
    checkpoint = load_checkpoint(path)
    del checkpoint["accumulated_gradients"]
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match="of iteration 4 lies within an accumulation of 3 gradien"):
        run(content, tmp_path, "work", resume="auto")


@pytest.mark.slow
@pytest.mark.parametrize(("interval", "before", "workers"), [(3, 8, 0), (2, 6, 2)])
def test_a_checkpoint_inside_an_epoch_is_exact(
    content, tmp_path, monkeypatch, interval, before, workers
):
    # Of iteration 6, two into the second epoch; and of iteration 4, at the end of the first.
    content["default_hooks"]["checkpoint"] |= dict(by_epoch=False, interval=interval)
    content["train_dataloader"] |= dict(num_workers=workers, persistent_workers=workers > 0)
    # A term with random masks.
    content["model"]["distill"]["mgd"] = dict(type="tbd.MaskedGenerativeDistillation")
    run(content, tmp_path, "whole")
    interrupt(content, tmp_path, "resumed", monkeypatch, before=before)
    run(content, tmp_path, "resumed", resume="auto")
    assert_equal_weights(tmp_path / "whole/student.pth", tmp_path / "resumed/student.pth")


@pytest.mark.openmmlab
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_an_iteration_based_loop_is_exact(content, tmp_path, monkeypatch, workers):
    content["train_cfg"] = dict(type="IterBasedTrainLoop", max_iters=6, val_interval=2)
    content["default_hooks"]["checkpoint"] |= dict(by_epoch=False, interval=2)
    content["train_dataloader"] |= dict(
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=dict(type="InfiniteSampler", shuffle=True),
    )
    content["model"]["distill"]["mgd"] = dict(type="tbd.MaskedGenerativeDistillation")
    run(content, tmp_path, "whole")
    interrupt(content, tmp_path, "resumed", monkeypatch, before=6)
    run(content, tmp_path, "resumed", resume="auto")
    assert_equal_weights(tmp_path / "whole/student.pth", tmp_path / "resumed/student.pth")


def test_an_epoch_of_another_length_is_an_error_in_its_middle(content, tmp_path, monkeypatch):
    content["default_hooks"]["checkpoint"] |= dict(by_epoch=False, interval=3)
    interrupt(content, tmp_path, "work", monkeypatch, before=4)
    content["train_dataloader"]["batch_size"] = 4
    with pytest.raises(ValueError, match=r"3 iterations into an epoch of 4, .* this run has 2"):
        run(content, tmp_path, "work", resume="auto")


def other_student(content):
    content["model"]["student"] = retinanet(width=6)


def dropped_term(content):
    # Without parameters, so that it leaves no trace in the weights.
    content["model"]["distill"]["hd"] = None


def added_term(content):
    content["model"]["distill"]["cwd"] = dict(type="tbd.ChannelWiseDistillation")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_student, r"of another shape: student\.backbone\.conv1\.weight \[4, 3, 7, 7\] in"),
        (dropped_term, r"model\.distill\.hd: a term that the checkpoint has and the config does n"),
        (added_term, r"model\.distill\.cwd: a term that the checkpoint does not have"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(content, tmp_path, change, message, monkeypatch):
    # An optimizer without state, which would accept any.
    content["optim_wrapper"]["optimizer"] = dict(type="SGD", lr=0.01)
    interrupt(content, tmp_path, "work", monkeypatch, before=5)
    change(content)
    with pytest.raises(ValueError, match=message):
        run(content, tmp_path, "work", resume="auto")
