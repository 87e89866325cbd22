import subprocess
import sys

import pytest
from tiny import retinanet, wrapper
from tiny_run import config_dict, process_environment, write_config, write_data

from tbd.engine import NEEDED_HOOKS, load_config
from tbd.engine.hooks import StudentExportHook
from tbd.engine.runner import build_runner

# What MMDetection's own train.py does.
STOCK_TRAINING = """
import sys
from mmengine.config import Config
from mmengine.runner import Runner
cfg = Config.fromfile(sys.argv[1])
cfg.work_dir = sys.argv[2]
Runner.from_cfg(cfg).train()
"""


@pytest.fixture
def content(tmp_path):
    write_data(tmp_path / "data")
    content = config_dict(tmp_path / "data", wrapper(), epochs=1)
    content["visualizer"]["name"] = tmp_path.name
    del content["default_hooks"]["seed"]
    return content


def hooks_of(content, tmp_path):
    cfg = load_config(write_config(tmp_path / "run.py", content))
    cfg.work_dir = str(tmp_path / "work")
    return build_runner(cfg).hooks


def count(hooks, name):
    """How many hooks are of the type that is needed by a name."""
    return sum(type(hook).__name__ == NEEDED_HOOKS[name] for hook in hooks)


@pytest.mark.openmmlab
def test_a_config_without_hooks_has_those_that_a_distillation_needs(content, tmp_path):
    del content["default_hooks"]
    hooks = hooks_of(content, tmp_path)
    assert {name: count(hooks, name) for name in NEEDED_HOOKS} == dict.fromkeys(NEEDED_HOOKS, 1)
    orders = [hooks.index(hook) for hook in hooks if isinstance(hook, StudentExportHook)]
    assert orders == [len(hooks) - 1]


def test_hooks_of_the_config_are_not_doubled(content, tmp_path):
    content["default_hooks"]["other_name"] = dict(type="tbd.StudentExportHook", filename="mine")
    found = [hook for hook in hooks_of(content, tmp_path) if isinstance(hook, StudentExportHook)]
    assert [hook.filename for hook in found] == ["mine"]


def test_none_switches_one_off_and_is_said(content, tmp_path, capsys):
    content["default_hooks"]["export"] = None
    hooks = hooks_of(content, tmp_path)
    assert count(hooks, "export") == 0
    assert count(hooks, "class_check") == 1
    assert "default_hooks.export=None" in capsys.readouterr().out


def test_a_plain_detector_gets_none(content, tmp_path):
    content["model"] = retinanet()
    hooks = hooks_of(content, tmp_path)
    assert not any(count(hooks, name) for name in NEEDED_HOOKS)


@pytest.mark.openmmlab
def test_mmdetections_own_training_brings_them_too(content, tmp_path):
    config = write_config(tmp_path / "run.py", content)
    command = [sys.executable, "-c", STOCK_TRAINING, config, str(tmp_path / "work")]
    run = subprocess.run(command, env=process_environment(), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "work" / "student.pth").is_file()
