"""Evaluate a detector; of a distillation, its student.

Example::

  tbd test tbd::tbd_retinanet_r101_r50.py work_dirs/tbd_retinanet_r101_r50/epoch_24.pth
"""

import argparse

from tbd.cli import values
from tbd.cli.options import add_cfg_options, add_launcher, take_rank
from tbd.engine import evaluate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments, which are those of MMDetection's own tool."""
    parser.usage = "%(prog)s CONFIG CHECKPOINT [options]"
    parser.add_argument(
        "config",
        type=values.config,
        metavar="CONFIG",
        help="config file, of a distillation or of a plain detector",
    )
    parser.add_argument(
        "checkpoint",
        type=values.checkpoint,
        metavar="CHECKPOINT",
        help="of the training, or an exported student",
    )
    parser.add_argument(
        "--work-dir",
        type=values.output_folder,
        metavar="FOLDER",
        help="folder for logs and metrics",
    )
    parser.add_argument(
        "--out",
        type=values.output_file(".pkl", ".pickle"),
        metavar="FILE.pkl",
        help="write the predictions to this file",
    )
    parser.add_argument("--show", action="store_true", help="show the predictions in windows")
    parser.add_argument(
        "--show-dir",
        type=values.subfolder,
        metavar="FOLDER",
        help="write pictures to WORK_DIR/<time of the run>/FOLDER",
    )
    parser.add_argument(
        "--wait-time", type=values.time, default=2, metavar="SECONDS", help="per window. Default: 2"
    )
    add_cfg_options(parser)
    add_launcher(parser)


def run(args: argparse.Namespace) -> None:
    """Evaluate."""
    take_rank(args)
    evaluate(
        args.config,
        args.checkpoint,
        args.work_dir,
        args.cfg_options,
        out=args.out,
        show=args.show,
        show_dir=args.show_dir,
        wait_time=args.wait_time,
        launcher=args.launcher,
    )
