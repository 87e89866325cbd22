"""The same as ``tbd test``: evaluate a detector."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("test")
