"""The same as ``tbd pairs``: check which distillation terms work on a pair of detectors."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("pairs")
