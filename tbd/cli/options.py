"""Options that several subcommands have."""

import argparse
import math
import os
from typing import Any

from mmengine.config import DictAction

from tbd.engine import LAUNCHERS


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, as MMDetection's tools have it."""
    parser.add_argument(
        "--cfg-options",
        type=key_value,
        nargs="+",
        action=_KeyValues,
        metavar="KEY=VALUE",
        help="override the config; data_root=FOLDER moves the whole data set",
    )


class _KeyValues(DictAction):
    """As MMEngine's, which takes the spaces out of every value, and so out of paths."""

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        plain = val.strip().strip("'\"")
        if "," in plain or plain[:1] in ("[", "("):
            return DictAction._parse_iterable(val)
        return DictAction._parse_int_float_bool(plain)


def key_value(text: str) -> str:
    """Check that a word of ``--cfg-options`` sets something."""
    key, sign, _ = text.partition("=")
    if not key or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form KEY=VALUE")
    return text


def positive(text: str) -> int:
    """Read a number of things of which there has to be one at least."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of 1 or more")
    return int(text)


def score(text: str) -> float:
    """Read a score, from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 0 to 1")
    return value


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
