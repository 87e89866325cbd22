"""The same as ``tbd search``: search the loss weights of a method."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("search")
