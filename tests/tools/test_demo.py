"""What tools/demo.sh starts; the comparison itself is tested in tests/engine."""

import os
import subprocess

import pytest
from tiny_run import ROOT


def demo(*arguments, **environment):
    return subprocess.run(
        ["bash", str(ROOT / "tools/demo.sh"), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )


@pytest.mark.parametrize(
    ("arguments", "seed", "options"),
    [
        ([], "0", []),
        (["12"], "12", []),
        (["--verbose"], "0", ["--verbose"]),
        (["3", "--jobs", "2"], "3", ["--jobs", "2"]),
    ],
)
def test_teacher_and_students_train_from_one_seed_without_a_gpu(tmp_path, arguments, seed, options):
    log = tmp_path / "log"
    interpreter = tmp_path / "venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(f'#!/bin/sh\necho "$PWD" "[$CUDA_VISIBLE_DEVICES]" "$@" >> {log}\n')
    interpreter.chmod(0o755)
    result = demo(*arguments, VENV=str(tmp_path / "venv"), CUDA_VISIBLE_DEVICES="0")
    assert result.returncode == 0, result.stderr
    command = log.read_text().splitlines()[-1].split()
    assert command[:3] == [str(ROOT), "[]", "tools/compare.py"]
    assert command[command.index("--seeds") + 1] == seed
    assert command[command.index("--teacher-seed") + 1] == seed
    assert command[command.index("--work-dir") + 2 :] == options
    # Two lines say what happens and how long it takes.
    assert "minutes" in result.stdout
    for config in (word for word in command if word.endswith(".py")):
        assert (ROOT / config).is_file()


def test_a_seed_that_is_no_number_is_refused():
    result = demo("one")
    assert result.returncode == 2
    assert "not 'one'" in result.stderr
