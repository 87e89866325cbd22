import logging
import re
from types import SimpleNamespace

import pytest
import tiny
import torch
import torch.distributed as dist
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from tiny_run import config_dict, write_config, write_data
from torch import multiprocessing, nn

from tbd.compat import load_checkpoint
from tbd.engine import ParaphraserPhaseHook, train
from tbd.registry import MODELS


def distillation(**options):
    return tiny.wrapper(distill=dict(ft=dict(type="tbd.FactorTransfer") | options))


def build(**options):
    torch.manual_seed(0)
    model = MODELS.build(distillation(**options))
    model.init_weights()
    return model.train()


def runner_of(model, optimizer=None, epochs=4, iterations=3):
    return SimpleNamespace(
        model=model,
        logger=logging.getLogger("tbd.testing"),
        max_epochs=epochs,
        max_iters=epochs * iterations,
        epoch=0,
        iter=0,
        message_hub=MessageHub("testing"),
        optim_wrapper=SimpleNamespace(
            optimizer=optimizer or torch.optim.AdamW(model.parameters(), weight_decay=0.1)
        ),
    )


def phases(hook, runner, start=0, iterations=3):
    """(iteration, whether the paraphraser learns) of a loop from epoch ``start`` on."""
    hook.before_train(runner)
    steps = []
    for epoch in range(start, runner.max_epochs):
        runner.epoch, runner.iter = epoch, epoch * iterations
        hook.before_train_epoch(runner)
        for index in range(iterations):
            runner.iter = epoch * iterations + index
            hook.before_train_iter(runner, index)
            idle = {id(parameter) for parameter in runner.model.terms["ft"].idle_parameters()}
            translators = runner.model.terms["ft"].translators.parameters()
            steps.append((runner.iter, all(id(parameter) in idle for parameter in translators)))
    hook.after_train(runner)
    return [iteration for iteration, learning in steps if learning]


def test_the_paraphraser_learns_until_the_milestone():
    model = build()
    assert phases(ParaphraserPhaseHook(epoch=2), runner_of(model)) == [0, 1, 2, 3, 4, 5]
    assert phases(ParaphraserPhaseHook(iteration=4), runner_of(model)) == [0, 1, 2, 3]


def test_a_resumed_run_is_in_the_phase_of_its_counter():
    model = build()
    assert phases(ParaphraserPhaseHook(epoch=2), runner_of(model), start=1) == [3, 4, 5]
    assert phases(ParaphraserPhaseHook(iteration=4), runner_of(model), start=2) == []


@pytest.mark.parametrize("learning", ["paraphrasers", "translators"])
def test_the_optimizer_moves_only_what_learns(learning):
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    hook = ParaphraserPhaseHook(iteration=1)
    runner = runner_of(model, optimizer)
    hook.before_train(runner)
    hook.apply(runner, reached=learning == "translators")
    before = {key: value.clone() for key, value in model.terms["ft"].state_dict().items()}

    def step():
        # As in distributed training, where a parameter without a part in the loss has 0.
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        return {
            key.partition(".")[0]
            for key, value in model.terms["ft"].state_dict().items()
            if not torch.equal(value, before[key])
        }

    assert step() == {learning}
    hook.after_train(runner)
    assert step() == {"paraphrasers", "translators"}


def test_the_error_is_reported_when_the_phase_ends(caplog):
    runner = runner_of(build(), epochs=2, iterations=1)
    hook = ParaphraserPhaseHook(epoch=1)
    for step in range(60):
        for level in range(3):
            runner.message_hub.update_scalar(f"train/ft.error_{level}", level + step / 100)
    with caplog.at_level(logging.INFO, "tbd.testing"):
        phases(hook, runner, iterations=1)
    messages = [record.getMessage() for record in caplog.records]
    (message,) = [text for text in messages if "reconstruction error" in text]
    # The mean of steps 50 to 59.
    assert message.startswith("distill.ft: the paraphraser has learnt for 0 steps")
    assert "0.545, 1.545, 2.545" in message


def test_bad_configs_are_refused():
    with pytest.raises(ValueError, match="epoch=5, but the training has 4"):
        ParaphraserPhaseHook(epoch=5).before_train(runner_of(build()))
    with pytest.raises(ValueError, match="iteration=13, but the training has 12"):
        ParaphraserPhaseHook(iteration=13).before_train(runner_of(build()))
    fixed = build(allow_random_paraphraser=True)
    with pytest.raises(ValueError, match=r"model\.distill\.ft does not learn"):
        ParaphraserPhaseHook(epoch=1).before_train(runner_of(fixed))
    with pytest.raises(ValueError, match="no term of Linear has a paraphraser"):
        ParaphraserPhaseHook(epoch=1).before_train(runner_of(nn.Linear(1, 1)))
    with pytest.raises(ValueError, match="epoch=None and iteration=None"):
        ParaphraserPhaseHook()


@pytest.mark.slow
@pytest.mark.parametrize("variational", [False, True])
def test_a_run_resumed_in_the_middle_of_the_phase_ends_with_the_same_weights(tmp_path, variational):
    write_data(tmp_path / "data")
    kind = "ConvVariationalAutoEncoder" if variational else "ConvAutoEncoder"
    model = distillation(paraphraser=dict(type=f"tbd.{kind}"))

    def config(name, epochs, **phase):
        content = config_dict(tmp_path / "data", model, epochs=4)
        content["train_cfg"]["max_epochs"] = epochs
        content["optim_wrapper"]["optimizer"] = dict(type="AdamW", lr=0.01, weight_decay=0.1)
        content["custom_hooks"] = [dict(type="tbd.ParaphraserPhaseHook", **phase)]
        content["log_level"] = "INFO"
        return write_config(tmp_path / f"{name}.py", content)

    def checkpoint(folder, epoch):
        return load_checkpoint(tmp_path / folder / f"epoch_{epoch}.pth")

    # The first two of three epochs, and half of the third: each has 4 iterations.
    train(config("run", 4, iteration=10), str(tmp_path / "whole"))
    train(config("short", 1, iteration=4), str(tmp_path / "resumed"))
    train(str(tmp_path / "run.py"), str(tmp_path / "resumed"), resume="auto")
    whole, resumed = (checkpoint(folder, 4) for folder in ("whole", "resumed"))
    assert all(torch.equal(v, resumed["state_dict"][k]) for k, v in whole["state_dict"].items())

    assert int(whole["state_dict"]["distill.ft.paraphraser_steps"]) == 10
    weights = [key for key in whole["state_dict"] if ".paraphrasers." in key]
    assert weights
    # Frozen after iteration 10, that is, before the end of epoch 3 and since.
    third = checkpoint("whole", 3)["state_dict"]
    assert all(torch.equal(third[key], whole["state_dict"][key]) for key in weights)
    trained = {n for n, p in MODELS.build(model).named_parameters() if p.requires_grad}
    assert any(".paraphrasers." in name for name in trained)
    assert len(whole["optimizer"]["state"]) == len(trained)
    logs = "".join(path.read_text() for path in (tmp_path / "whole").rglob("*.log"))
    (errors,) = re.findall(r"learnt for 10 steps.*?last 10 steps: ([\d., ]+) \(", logs)
    assert len(errors.split(", ")) == 3


def step(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    model = MMDistributedDataParallel(build(), device_ids=None)
    wrapper = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1))
    hook = ParaphraserPhaseHook(iteration=2)
    runner = runner_of(model, wrapper.optimizer)
    hook.before_train(runner)
    # A second step of a phase fails if the first left a gradient unreduced.
    for runner.iter in range(4):
        hook.before_train_iter(runner, runner.iter)
        item = tiny.samples()[rank]
        data = dict(inputs=[item["inputs"]], data_samples=[item["data_samples"]])
        model.train_step(data, wrapper)
        torch.save(model.module.state_dict(), f"{folder}/{rank}_{runner.iter}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_go_through_both_phases(tmp_path):
    multiprocessing.spawn(step, (str(tmp_path),), nprocs=2)
    states = [
        [torch.load(tmp_path / f"{rank}_{number}.pt") for number in range(4)] for rank in range(2)
    ]
    for first, second in zip(*states, strict=True):
        assert all(torch.equal(value, second[key]) for key, value in first.items())

    def changed(number, part):
        return [
            not torch.equal(value, states[0][number][key])
            for key, value in states[0][number - 1].items()
            if f".{part}." in key
        ]

    assert all(changed(1, "paraphrasers"))
    assert not any(changed(1, "translators"))
    assert not any(changed(2, "paraphrasers") + changed(3, "paraphrasers"))
    assert all(changed(3, "translators"))
