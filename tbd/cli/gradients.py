"""Say where each loss of a distillation pulls the student: towards better scores, or boxes.

Measures the finished distillations of a comparison on images of their training: the size of each
loss's gradient on the student's neck, and the cosine of its angle with that of each part of the
student's own loss.

Example::

  tbd gradients work_dirs/shapes_retinanet
"""

import argparse

from tbd.cli import values
from tbd.studies.gradients import measure_gradients


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
        help="measure the runs of these configs only. Default: all distillations",
    )
    parser.add_argument(
        "--batches",
        type=values.whole(1),
        default=8,
        metavar="N",
        help="batches to measure on. Default: 8",
    )


def run(args: argparse.Namespace) -> None:
    """Measure."""
    measure_gradients(args.folder, args.configs, args.batches)
