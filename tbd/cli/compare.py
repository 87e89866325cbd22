r"""Train configs from several seeds and compare the detectors in one table. Run it again to resume.

Example::

  tbd compare tbd::shapes/retinanet_student_shapes.py tbd::shapes/tbd_retinanet_shapes.py \
    --teacher tbd::shapes/retinanet_teacher_shapes.py --seeds 0 1 2
"""

import argparse

from tbd.cli.options import key_value
from tbd.studies.comparison import compare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s CONFIG ... [options]"
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help="config files to compare")
    parser.add_argument(
        "--teacher",
        metavar="CONFIG",
        help="trained once, as the teacher of every distillation",
    )
    parser.add_argument("--teacher-seed", type=int, default=0, metavar="SEED", help="default: 0")
    parser.add_argument(
        "--baseline", metavar="CONFIG", help="which of CONFIG the others' gain in AP refers to"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], metavar="SEED", help="default: 0"
    )
    parser.add_argument(
        "--work-dir",
        default="work_dirs/comparison",
        metavar="FOLDER",
        help="default: work_dirs/comparison",
    )
    parser.add_argument(
        "--cfg-options",
        type=key_value,
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings of all runs",
    )
    parser.add_argument(
        "--pictures",
        type=int,
        default=4,
        metavar="N",
        help="images in comparison.png; 0: none. Default: 4",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="runs at a time. Default: 1"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="print the runs' own logs, not their progress"
    )


def run(args: argparse.Namespace) -> None:
    """Compare."""
    compare(
        args.configs,
        args.seeds,
        args.work_dir,
        teacher=args.teacher,
        teacher_seed=args.teacher_seed,
        baseline=args.baseline,
        options=args.cfg_options,
        num_pictures=args.pictures,
        jobs=args.jobs,
        verbose=args.verbose,
    )
