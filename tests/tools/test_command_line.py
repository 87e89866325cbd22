"""The tools as users start them; what they do is tested in tests/cli and tests/engine."""

import subprocess
import sys

import pytest
import torch
from tiny import wrapper
from tiny_run import (
    ROOT,
    config_dict,
    free_port,
    process_environment,
    write_config,
    write_data,
)

from tbd.compat import load_checkpoint
from tbd.studies.pairs.table import BEGIN


def start(*command, **environment):
    return subprocess.run(
        [str(part) for part in command],
        env=process_environment(PYTHON=sys.executable, **environment),
        capture_output=True,
        text=True,
        timeout=300,
        cwd="/",
    )


def python_tool(name, *arguments):
    return start(sys.executable, ROOT / "tools" / name, *arguments)


@pytest.fixture
def config(tmp_path):
    write_data(tmp_path / "data")
    content = config_dict(tmp_path / "data", wrapper(), epochs=2)
    content["custom_hooks"] = [dict(type="tbd.StopDistillationHook", epoch=1)]
    return write_config(tmp_path / "run.py", content)


@pytest.mark.parametrize(("script", "usage"), [("dist_train.sh", "CONFIG"), ("dist_test.sh", "")])
def test_the_shell_tools_explain_themselves(script, usage):
    result = start("bash", ROOT / "tools" / script, usage)
    assert result.returncode == 2
    assert f"usage: bash tools/{script} CONFIG" in result.stderr


@pytest.mark.slow
def test_two_processes_train_and_test_without_a_gpu(config, tmp_path):
    work_dir = tmp_path / "work"
    trained = start(
        "bash",
        ROOT / "tools/dist_train.sh",
        config,
        2,
        "--work-dir",
        work_dir,
        "--cfg-options",
        "log_level=INFO",
        CUDA_VISIBLE_DEVICES="",
        PORT=free_port(),
    )
    assert trained.returncode == 0, trained.stderr[-4000:]
    assert "distillation stops at epoch 1" in trained.stdout + trained.stderr
    checkpoint = load_checkpoint(work_dir / "epoch_2.pth")
    # 8 images, 2 processes of batch size 2: the data is shared, not repeated.
    assert checkpoint["meta"]["iter"] == 4
    assert not any(key.startswith("module.") for key in checkpoint["state_dict"])
    assert (work_dir / "student.pth").is_file()
    assert "model_wrapper_cfg" not in (work_dir / "student.py").read_text()

    tested = start(
        "bash",
        ROOT / "tools/dist_test.sh",
        config,
        work_dir / "epoch_2.pth",
        2,
        "--work-dir",
        tmp_path / "test",
        "--out",
        tmp_path / "boxes.pkl",
        CUDA_VISIBLE_DEVICES="",
        PORT=free_port(),
    )
    assert tested.returncode == 0, tested.stderr[-4000:]
    assert (tmp_path / "boxes.pkl").is_file()


@pytest.mark.slow
def test_train_resume_test_and_export(config, tmp_path):
    work_dir = tmp_path / "work"
    options = ("--work-dir", work_dir, "--cfg-options")
    # Without the hook that stops distilling after an epoch, which one epoch does not reach.
    shorter = ("train_cfg.max_epochs=1", "custom_hooks=[]")
    first = python_tool("train.py", config, *options, *shorter)
    assert first.returncode == 0, first.stderr[-4000:]
    second = python_tool("train.py", config, "--resume", *options, f"data_root={tmp_path / 'data'}")
    assert second.returncode == 0, second.stderr[-4000:]
    checkpoint = work_dir / "epoch_2.pth"
    tested = python_tool("test.py", config, checkpoint, "--work-dir", tmp_path / "test")
    assert tested.returncode == 0, tested.stderr[-4000:]
    exported = python_tool("export_student.py", config, checkpoint, "--out-dir", tmp_path / "out")
    assert exported.returncode == 0, exported.stderr[-4000:]
    assert f"Plain student: {tmp_path / 'out' / 'student.pth'}" in exported.stdout
    found = torch.load(tmp_path / "out/student.pth", weights_only=True)["state_dict"]
    expected = torch.load(work_dir / "student.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.slow
def test_an_error_is_the_last_line(config, tmp_path):
    result = python_tool("train.py", config, "--cfg-options", f"data_root={tmp_path / 'none'}")
    assert result.returncode == 2
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("train.py: error: train_dataloader.dataset.ann_file")


@pytest.mark.slow
def test_a_pair_is_tried_and_tabulated(config, tmp_path):
    document = tmp_path / "pairs.md"
    document.write_text(f"# By hand\n\n{BEGIN}\n")
    result = python_tool("pair_matrix.py", config, "--out", document)
    assert result.returncode == 0, result.stderr
    assert "[1/1] run: works" in result.stdout
    assert "| `run` | RetinaNet | RetinaNet |" in document.read_text()


@pytest.mark.slow
def test_a_pair_that_fails_is_named(config, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text(f"_base_ = {config!r}\nmodel = dict(student=dict(backbone=dict(depth=7)))\n")
    result = python_tool("pair_matrix.py", broken)
    assert result.returncode == 2
    assert "[1/1] broken: FAILED" in result.stdout
    assert f"1 of 1 failed: {broken}" in result.stderr
