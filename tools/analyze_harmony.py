"""The same as ``tbd analyze``: measure how far the scores of detectors agree with their boxes."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("analyze")
