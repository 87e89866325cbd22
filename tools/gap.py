"""The same as ``tbd gap``: say what of a teacher's lead lies in scores, and what in boxes."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("gap")
