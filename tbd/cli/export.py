r"""Write the student of a distillation as a plain MMDetection checkpoint and config.

Example::

  tbd export tbd::tbd_retinanet_r101_r50.py work_dirs/tbd_retinanet_r101_r50/epoch_24.pth \
    --out-dir exported
"""

import argparse

from tbd.cli.options import add_cfg_options
from tbd.engine import export_student


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "%(prog)s CONFIG CHECKPOINT --out-dir FOLDER [options]"
    parser.add_argument("config", metavar="CONFIG", help="config file of the distillation")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="one of its checkpoints")
    parser.add_argument(
        "--out-dir", required=True, metavar="FOLDER", help="folder for the two files"
    )
    parser.add_argument(
        "--name", default="student", help="name of both files, without suffix. Default: student"
    )
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Export."""
    print(export_student(args.config, args.checkpoint, args.out_dir, args.name, args.cfg_options))
