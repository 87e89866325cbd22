"""The same as ``tbd gradients``: say where each loss of a distillation pulls the student."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("gradients")
