import subprocess
import sys

from tiny_run import process_environment


def test_an_import_prints_nothing():
    run = subprocess.run(
        [sys.executable, "-c", "import tbd"],
        env=process_environment(PYTHONWARNINGS="ignore::DeprecationWarning"),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0
    assert (run.stdout, run.stderr) == ("", "")
