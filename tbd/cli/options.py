"""Options that several subcommands have."""

import argparse
import os
from typing import Any

from tbd.cli.values import key_value
from tbd.engine import LAUNCHERS
from tbd.engine.config_options import parse_options


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, as MMDetection's tools have it."""
    parser.add_argument(
        "--cfg-options",
        type=key_value,
        nargs="+",
        action=_Options,
        metavar="KEY=VALUE",
        help="override the config; data_root=FOLDER moves the whole data set",
    )


class _Options(argparse.Action):
    """Reads options of a config; given a second time it adds to the first."""

    _words: tuple[str, ...] = ()

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Read keys and values."""
        self._words = (*self._words, *values)
        try:
            setattr(namespace, self.dest, parse_options(self._words))
        except ValueError as error:
            raise argparse.ArgumentError(None, str(error)) from None


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add what the launchers of distributed runs pass; see :func:`take_rank`."""
    parser.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="none",
        metavar="NAME",
        help=f"of several processes: {', '.join(LAUNCHERS)}. Default: none",
    )
    # torch.distributed.launch passes the rank as an option, torchrun in the environment.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def take_rank(args: argparse.Namespace) -> None:
    """Put the rank that the launcher passed where PyTorch looks for it."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
