"""A student sharded by FSDP over two processes; and a term that is switched off on the way."""

import os
from typing import Any

import pytest
import tiny
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel, MMFullyShardedDataParallel
from mmengine.optim import OptimWrapper
from tiny_run import config_dict, free_port, write_config, write_data
from torch import multiprocessing
from torch.distributed.fsdp import FullStateDictConfig, StateDictType

from tbd.compat import load_checkpoint
from tbd.engine import export_student, train
from tbd.engine.strategy_check import check_strategy
from tbd.registry import MODELS

STEPS = 3
STRATEGY = dict(
    type="FSDPStrategy",
    state_dict_cfg="full",
    model_wrapper=dict(type="MMFullyShardedDataParallel", use_orig_params=True),
)


def learn(wrap: Any, images: list[dict[str, Any]]) -> torch.nn.Module:
    """Train a student for some steps, in the last of which a term is switched off."""
    torch.manual_seed(0)
    config = tiny.wrapper()
    config["distill"]["tfd"]["schedule"] = dict(off=1)
    model = MODELS.build(config)
    model.init_weights()
    wrapped = wrap(model.train())
    optimizer = OptimWrapper(torch.optim.SGD(wrapped.parameters(), lr=0.01, momentum=0.9))
    hub = MessageHub.get_current_instance()
    for step in range(STEPS):
        for key, value in (("iter", step), ("max_iters", STEPS), ("max_epochs", 1)):
            hub.update_info(key, value)
        log = wrapped.train_step(
            dict(
                inputs=[item["inputs"] for item in images],
                data_samples=[item["data_samples"] for item in images],
            ),
            optimizer,
        )
        assert float(log["tfd.schedule"]) == float(step < STEPS - 1)
        assert ("tfd.loss_cls_feature" in log) == (step < STEPS - 1)
    return wrapped


def learn_both_ways(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    # No object on one of the ranks.
    images = tiny.samples(boxes=3 * rank)
    replicated = learn(lambda model: MMDistributedDataParallel(model, device_ids=None), images)
    sharded = learn(
        lambda model: MMFullyShardedDataParallel(
            model, device_id=torch.device("cpu"), use_orig_params=True
        ),
        images,
    )
    whole = FullStateDictConfig(offload_to_cpu=True)
    with sharded.state_dict_type(sharded, StateDictType.FULL_STATE_DICT, whole):
        weights = sharded.state_dict()
    torch.save((replicated.module.state_dict(), weights), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def one_rank(rank: int, folder: str, port: str) -> None:
    learn_both_ways(rank, folder)
    os.environ |= dict(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=port,
        CUDA_VISIBLE_DEVICES="",
    )
    train(f"{folder}/run.py", f"{folder}/work", launcher="pytorch")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What two processes left; starting them takes longer than what they do."""
    folder = tmp_path_factory.mktemp("ranks")
    write_data(folder / "data")
    content = config_dict(folder / "data", tiny.wrapper(), epochs=1)
    content |= dict(
        runner_type="FlexibleRunner",
        strategy=STRATEGY,
        custom_hooks=[dict(type="tbd.StudentExportHook")],
    )
    write_config(folder / "run.py", content)
    multiprocessing.spawn(one_rank, (str(folder), free_port()), nprocs=2)
    return folder


@pytest.mark.slow
def test_a_sharded_student_learns_what_a_replicated_one_does(ranks):
    (first, sharded), (second, _) = (torch.load(ranks / f"{rank}.pt") for rank in range(2))
    assert first.keys() == sharded.keys()
    assert not any("teacher" in key for key in sharded)
    for key, expected in first.items():
        torch.testing.assert_close(sharded[key], expected, msg=key)
        torch.testing.assert_close(second[key], expected, msg=key)


@pytest.mark.slow
def test_a_sharded_run_leaves_a_checkpoint_that_can_be_exported(ranks, tmp_path):
    config, saved = str(ranks / "run.py"), str(ranks / "work" / "epoch_1.pth")
    checkpoint = load_checkpoint(saved)
    model = MODELS.build(Config.fromfile(config).model)
    assert checkpoint["state_dict"].keys() == model.state_dict().keys()
    export_student(config, saved, str(tmp_path))
    exported = load_checkpoint(str(tmp_path / "student.pth"))["state_dict"]
    assert exported.keys() == model.student.state_dict().keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(state_dict_cfg="local"), "state_dict_cfg='local'.*'full'"),
        (dict(model_wrapper=dict(type="MMFullyShardedDataParallel")), "use_orig_params=False"),
    ],
)
def test_sharding_that_does_not_work_is_refused(changes, message):
    cfg = Config(dict(runner_type="FlexibleRunner", strategy=STRATEGY | changes))
    with pytest.raises(ValueError, match=message):
        check_strategy(cfg)


@pytest.mark.parametrize("kind", ["DeepSpeedStrategy", "ColossalAIStrategy"])
def test_strategies_whose_checkpoints_are_folders_are_refused(kind):
    cfg = Config(dict(runner_type="FlexibleRunner", strategy=dict(type=kind)))
    with pytest.raises(ValueError, match=rf"strategy\.type='{kind}'.*FSDPStrategy"):
        check_strategy(cfg)


def test_the_layout_of_sharded_weights_cannot_be_chosen():
    model = dict(student_execution=dict(channels_last=True))
    cfg = Config(dict(runner_type="FlexibleRunner", strategy=STRATEGY, model=model))
    with pytest.raises(ValueError, match=r"student_execution\.channels_last"):
        check_strategy(cfg)


def test_other_runners_are_left_alone():
    cfg = Config(dict(strategy=STRATEGY | dict(state_dict_cfg="local")))
    check_strategy(cfg)
    assert "device_id" not in cfg.strategy.model_wrapper
