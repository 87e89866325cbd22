"""The hooks of .pre-commit-config.yaml run what continuous integration runs."""

import re
import shlex
import subprocess
import sys

import pytest
import yaml
from tiny_run import ROOT, process_environment

CONFIG = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
HOOKS = {hook["id"]: hook for repo in CONFIG["repos"] for hook in repo["hooks"]}


def test_the_hooks_are_the_quick_steps_of_the_check():
    script = (ROOT / "tools/check.sh").read_text()
    # Steps that are left out with --fast stand inside a condition.
    steps = re.findall(r"^step (\S+) \$PY (.+)$", script, re.MULTILINE)
    assert {name: hook["entry"] for name, hook in HOOKS.items()} == {
        name: f".venv/bin/python {command}" for name, command in steps
    }
    assert "PY=.venv/bin/python" in script


def test_every_hook_is_installed_and_takes_no_list_of_files():
    installed = set(CONFIG["default_install_hook_types"])
    for hook in HOOKS.values():
        assert set(hook["stages"]) <= installed
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False


@pytest.mark.slow
@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_runs(name):
    interpreter, *arguments = shlex.split(HOOKS[name]["entry"])
    assert interpreter == ".venv/bin/python"
    # The quick tests are run beside this one; here it is enough that they are found.
    found_only = ["--collect-only", "--quiet"] if name == "tests" else []
    run = subprocess.run(
        [sys.executable, *arguments, *found_only],
        cwd=ROOT,
        env=process_environment(),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
