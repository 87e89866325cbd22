"""The same as ``tbd check-data``: look for faults in annotations and images."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("check-data")
