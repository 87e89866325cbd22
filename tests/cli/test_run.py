"""Scripts of others, with mmcv's operators in place."""

import subprocess
import sys

import pytest
from tiny_run import process_environment

from tbd.cli.run import find_script

SCRIPT = """
import sys
from helper import boxes  # a module beside the script
from mmcv.ops import nms
print(__name__, sys.argv[1:], len(nms(boxes(), boxes()[:, 0].contiguous(), 0.5)[1]))
"""


@pytest.mark.openmmlab
def test_a_script_finds_operators_arguments_and_its_own_folder(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text(
        "import torch\ndef boxes(): return torch.tensor([[0., 0, 9, 9], [1, 0, 9, 9]])\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "tbd", "run", str(tmp_path / "script.py"), "--help", "me"],
        env=process_environment(),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "__main__ ['--help', 'me'] 1"


@pytest.mark.openmmlab
@pytest.mark.parametrize("tool", ["test.py", "analysis_tools/get_flops.py"])
def test_the_tools_of_mmdetection_are_found(tool):
    assert find_script(f"mmdet::tools/{tool}").is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/such.py", "there is no script at"),
        ("mmdet::tools/no.py", "there is no script at"),
        ("nosuchpackage::tools/test.py", "'nosuchpackage' is not installed"),
    ],
)
def test_a_missing_script_is_named(name, message):
    with pytest.raises(FileNotFoundError, match=message):
        find_script(name)
