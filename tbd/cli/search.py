r"""Search the loss weights of a method: the same number of trials for every method.

Seed 100 tries all factors, 101 and 102 the best two. Run it again to resume.

Example::

  tbd search configs/shapes/tbd_retinanet_shapes.py \
    --teacher configs/shapes/retinanet_teacher_shapes.py \
    --keys model.distill.hd.loss_weight model.distill.tfd.loss_weight
"""

import argparse

from tbd.cli import values
from tbd.studies.search import search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s CONFIG --keys KEY ... [options]"
    parser.add_argument(
        "config", type=values.config, metavar="CONFIG", help="config file of a distillation"
    )
    parser.add_argument(
        "--keys", nargs="+", required=True, metavar="KEY", help="weights, multiplied together"
    )
    parser.add_argument(
        "--teacher",
        type=values.config,
        metavar="CONFIG",
        help="trained once, as the teacher of all",
    )
    parser.add_argument(
        "--teacher-seed", type=values.seed, default=0, metavar="SEED", help="default: 0"
    )
    parser.add_argument(
        "--trials", type=values.whole(2), default=6, metavar="N", help="factors. Default: 6"
    )
    parser.add_argument(
        "--step",
        type=values.number(1, inside=True),
        default=2.0,
        metavar="RATIO",
        help="of two factors. Default: 2",
    )
    parser.add_argument(
        "--work-dir",
        type=values.output_folder,
        default="work_dirs/search",
        metavar="FOLDER",
        help="default: work_dirs/search",
    )
    parser.add_argument(
        "--cfg-options",
        type=values.key_value,
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings of all runs",
    )


def run(args: argparse.Namespace) -> None:
    """Search."""
    search(
        args.config,
        args.keys,
        args.work_dir,
        teacher=args.teacher,
        teacher_seed=args.teacher_seed,
        trials=args.trials,
        step=args.step,
        options=args.cfg_options,
    )
