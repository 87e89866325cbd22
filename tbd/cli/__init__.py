"""The subcommands of ``tbd``, one module each: what it takes and the one call that it makes."""

from tbd.cli.command import run_command

__all__ = ["run_command"]
