"""Train a detector: a distillation or a plain one.

Example::

  tbd train tbd::tbd_retinanet_r101_r50.py --amp --cfg-options optim_wrapper.optimizer.lr=0.005
"""

import argparse

from mmengine.device import get_device

from tbd.cli import values
from tbd.cli.options import add_cfg_options, add_launcher, take_rank
from tbd.engine import train
from tbd.engine.freed_memory import keep_freed_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments, which are those of MMDetection's own tool."""
    parser.usage = "%(prog)s CONFIG [options]"
    parser.add_argument("config", type=values.config, metavar="CONFIG", help="config file")
    parser.add_argument(
        "--work-dir",
        type=values.output_folder,
        metavar="FOLDER",
        help="folder for logs and checkpoints",
    )
    parser.add_argument("--amp", action="store_true", help="automatic mixed precision")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate with the total batch size",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        type=values.resumable,
        metavar="CHECKPOINT",
        help="go on from CHECKPOINT, by default the last in the work folder",
    )
    parser.add_argument(
        "--progress-file",
        type=values.output_file(),
        metavar="FILE.json",
        help="keep step, loss and time left in this file",
    )
    parser.add_argument(
        "--gradient-file",
        type=values.output_file(),
        metavar="FILE.json",
        help="measure at three moments how hard each loss pulls at the student's neck",
    )
    add_cfg_options(parser)
    add_launcher(parser)


def run(args: argparse.Namespace) -> None:
    """Train."""
    take_rank(args)
    if get_device() == "cpu":
        keep_freed_memory()
    train(
        args.config,
        args.work_dir,
        args.cfg_options,
        resume=args.resume,
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
        launcher=args.launcher,
        progress_file=args.progress_file,
        gradient_file=args.gradient_file,
    )
