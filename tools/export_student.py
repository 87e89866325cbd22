"""The same as ``tbd export``: write the student of a distillation as a plain MMDetection model."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("export")
