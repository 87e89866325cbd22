"""The same as ``tbd benchmark``: measure time and memory of a distilled training step."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("benchmark")
