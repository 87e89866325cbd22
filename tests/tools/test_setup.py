"""What tools/setup.sh does before it downloads anything."""

import os
import subprocess

from tiny_run import ROOT


def setup(*arguments, **environment):
    return subprocess.run(
        ["bash", str(ROOT / "tools/setup.sh"), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def write_script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_unknown_distribution_is_named():
    result = setup("mmlab")
    assert result.returncode == 2
    assert "unknown distribution 'mmlab'; it is onedl or openmmlab" in result.stderr


def test_an_interpreter_that_is_too_old_is_refused(tmp_path):
    old = write_script(tmp_path / "python", "exit 1")
    result = setup(VENV=str(tmp_path / "venv"), PYTHON=old)
    assert result.returncode == 1
    assert "no Python >= 3.10 found" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_an_interpreter_without_venv_is_explained(tmp_path):
    bare = write_script(tmp_path / "python", '[ "$1" = -c ] || { echo "no ensurepip"; exit 1; }')
    result = setup(VENV=str(tmp_path / "venv"), PYTHON=bare)
    assert result.returncode == 1
    assert "python3-venv" in result.stderr


def test_an_up_to_date_environment_is_left_alone(tmp_path):
    log = tmp_path / "log"
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    # Stands for the environment's interpreter: succeeds at everything and keeps a record.
    write_script(venv / "bin" / "python", f'echo "$@" >> {log}')
    first = setup(VENV=str(venv))
    assert first.returncode == 0, first.stderr
    assert f"-e {ROOT}[onedl,dev]" in log.read_text()
    log.unlink()
    second = setup(VENV=str(venv))
    assert second.returncode == 0
    assert not log.exists()
    assert second.stdout == ""
    # The other distribution is another environment.
    assert setup("openmmlab", VENV=str(venv)).returncode == 0
    assert f"-e {ROOT}[openmmlab,test]" in log.read_text()


def test_what_pip_says_is_in_a_file_and_its_end_is_shown_if_it_fails(tmp_path):
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    write_script(
        venv / "bin" / "python",
        '[ "$3" != install ] || { seq -f "said %g" 50; echo "no room" >&2; exit 1; }',
    )
    result = setup(VENV=str(venv))
    assert result.returncode == 1
    assert "no room" in result.stderr
    assert f"its whole output is in {venv}/install.log" in result.stderr
    assert "said 1\n" not in result.stdout + result.stderr
    assert "said 1\n" in (venv / "install.log").read_text()
    # It is not taken for complete.
    assert setup(VENV=str(venv)).returncode == 1


def test_a_desktop_opencv_that_does_not_load_is_replaced(tmp_path):
    log = tmp_path / "log"
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    write_script(
        venv / "bin" / "python",
        f'echo "$@" >> {log}\n[ "$2" != "import cv2" ] || grep -q "opencv-python-headless$" {log}',
    )
    result = setup(VENV=str(venv))
    assert result.returncode == 0, result.stderr
    commands = log.read_text().splitlines()
    assert "-m pip uninstall --yes opencv-python opencv-python-headless" in commands
    assert commands[-2].endswith(
        "--no-deps -c " + str(ROOT / "constraints.txt") + " opencv-python-headless"
    )
