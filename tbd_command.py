"""Front door of the ``tbd`` command.

It answers ``tbd --help`` and ``tbd --version`` at once. It lies beside the package and not in it
because importing anything of ``tbd`` imports MMDetection, which takes seconds.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

COMMANDS = {
    "new": "write the configs of a distillation on your own data",
    "train": "train a detector: a distillation or a plain one",
    "test": "evaluate a detector; of a distillation, its student",
    "export": "write a detector, or a student, as plain MMDetection or ONNX files",
    "predict": "detect objects in images, with a checkpoint or an ONNX file, and draw them",
    "run": "run a script, such as MMDetection's own tools, with mmcv's operators in place",
    "compare": "train configs or methods from several seeds and compare the detectors in one table",
    "search": "search the loss weights of a method, with a budget equal for all",
    "analyze": "measure how far the scores of detectors agree with their boxes",
    "gap": "say what of a teacher's lead on its students lies in scores, and what in boxes",
    "gradients": "say where each loss of a distillation pulls the student: to scores, or to boxes",
    "pairs": "check which distillation terms work on a pair of detectors",
    "check-data": "look for faults in annotations and images, and write cleaned copies",
    "benchmark": "measure time and memory of a distilled training step",
}
"""Subcommand → what it does. The subcommand is the module of that name in ``tbd.cli``."""

TRACEBACK_OPTION = "--traceback"
TRACEBACK_VARIABLE = "TBD_TRACEBACK"
"""Environment variable that, set to 1, shows where an error of the user's came from."""

INTERRUPTED = 130
"""What shells report of a program that SIGINT ended."""

_HELP = """\
Distill object detectors with MMDetection.

commands:
{commands}

example:
  tbd train tbd::tbd_retinanet_r101_r50.py --amp

'tbd COMMAND --help' describes a command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the subcommand that the first argument names.

    Args:
        arguments: Of the command line. Default: those of this process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    table = "\n".join(f"  {name:<10} {summary}" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="tbd",
        usage="tbd [--help] [--version] COMMAND ...",
        description=_HELP.format(commands=table),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tbd {_version()}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    # The rest belongs to the subcommand, whose module knows its options.
    command = parser.parse_args(given[:1] or ["--help"]).command

    try:
        _run(parser, command, given[1:])
    except KeyboardInterrupt:
        # Importing takes seconds, in which there is no subcommand yet that could answer.
        if TRACEBACK_OPTION in given or os.environ.get(TRACEBACK_VARIABLE) == "1":
            raise
        parser.exit(INTERRUPTED, "tbd: interrupted\n")


def _run(parser: argparse.ArgumentParser, command: str, arguments: Sequence[str]) -> None:
    try:
        from tbd.cli import run_command
    except ImportError as error:
        # Without a name it is not Python's own, but advice: what to install, or what to remove.
        if error.name or os.environ.get(TRACEBACK_VARIABLE) == "1":
            raise
        parser.exit(2, f"tbd: error: {error}\n")
    run_command(command, arguments, prog=f"tbd {command}")


def _version() -> str:
    try:
        return version("tbd")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    main()
