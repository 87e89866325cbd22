"""The same as ``tbd predict``: detect objects in images and draw them."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("predict")
