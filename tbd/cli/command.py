"""What all subcommands share: parsing, and errors that a user can read."""

import argparse
import importlib
import linecache
import os
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from tbd_command import INTERRUPTED, TRACEBACK_OPTION, TRACEBACK_VARIABLE


def run_command(name: str, arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the arguments of one subcommand and run it.

    An error that ``tbd`` raised on purpose is the user's to mend: its message is printed, and the
    process exits with status 2, as it does for an unknown option. An interruption (Ctrl-C) ends it
    with status 130. Every other error passes.

    Args:
        name: The subcommand, a module of :mod:`tbd.cli`.
        arguments: Its arguments. Default: those of this process.
        prog: Name of the program in messages. Default: that of the running script.
    """
    command = importlib.import_module(f"tbd.cli.{name.replace('-', '_')}")
    description, _, example = (command.__doc__ or "").partition("\n\nExample::\n\n")
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=f"example:\n{example.rstrip()}",
        formatter_class=_HelpFormatter,
    )
    parser.register("action", None, _Once)
    parser.register("action", "store", _Once)
    command.add_arguments(parser)
    parser.add_argument(TRACEBACK_OPTION, action="store_true", help="show where an error came from")
    args = parser.parse_args(arguments)
    wanted = args.traceback or os.environ.get(TRACEBACK_VARIABLE) == "1"
    try:
        command.run(args)
    except KeyboardInterrupt:
        if wanted:
            raise
        parser.exit(INTERRUPTED, f"{parser.prog}: interrupted\n")
    except Exception as error:
        if wanted or not _raised_on_purpose(error.__traceback__):
            raise
        parser.exit(2, f"{parser.prog}: error: {error}\n")


class _Once(argparse.Action):
    """Stores a value; a second one, which would silently replace it, is an error."""

    _is_given = False

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the value."""
        if option_string is not None and self._is_given:
            before = getattr(namespace, self.dest)
            raise argparse.ArgumentError(
                self, f"{before!r} and {values!r} are given; give it once, with all its values"
            )
        self._is_given = True
        setattr(namespace, self.dest, values)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of description and example, and every option on one line if it can."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=100)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        text = super()._format_args(action, default_metavar)
        return f"{action.metavar} ..." if action.nargs in ("+", "*") else text


def _raised_on_purpose(trace: TracebackType | None) -> bool:
    """Whether an error comes from a ``raise`` statement of this package."""
    if trace is None:
        return False
    *_, (frame, line) = traceback.walk_tb(trace)
    module = frame.f_globals.get("__name__", "")
    source = linecache.getline(frame.f_code.co_filename, line)
    return module.partition(".")[0] == "tbd" and source.lstrip().startswith("raise ")
