"""Say what of a teacher's lead on its students lies in the scores, and what in the boxes.

Evaluates the finished runs of a comparison with their teacher's scores, and with its boxes.
Run it again to resume.

Example::

  tbd gap work_dirs/shapes_retinanet
"""

import argparse

from tbd.cli import values
from tbd.studies.gap import measure_gap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s FOLDER [options]"
    parser.add_argument(
        "folder", type=values.folder, metavar="FOLDER", help="work directory of a comparison"
    )
    parser.add_argument(
        "--configs",
        nargs="+",
        default=[],
        metavar="NAME",
        help="measure the runs of these configs only. Default: all",
    )


def run(args: argparse.Namespace) -> None:
    """Measure."""
    measure_gap(args.folder, args.configs)
