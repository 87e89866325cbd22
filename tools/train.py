"""The same as ``tbd train``: train a detector."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("train")
