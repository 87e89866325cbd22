"""The same as ``tbd compare``: train configs from several seeds and compare the detectors."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("compare")
