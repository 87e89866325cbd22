"""The same as ``tbd export``: write a detector, or a student, as MMDetection or ONNX files."""

from tbd.cli import run_command

if __name__ == "__main__":
    run_command("export")
