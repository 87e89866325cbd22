"""Train a detector: a distillation or a plain one."""

import argparse
import os

from mmengine.config import DictAction

from tbd.engine import LAUNCHERS, train


def parse_args() -> argparse.Namespace:
    """Parse the command line; the options are those of MMDetection's own tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument("--work-dir", help="folder for logs and checkpoints")
    parser.add_argument("--amp", action="store_true", help="automatic mixed precision")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate with the total batch size (auto_scale_lr.base_batch_size)",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="continue from CHECKPOINT, or without one from the last good checkpoint in the work "
        "directory",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="override settings of the config, e.g. optim_wrapper.optimizer.lr=0.005; "
        "data_root=FOLDER moves the whole data set",
    )
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="job launcher")
    # torch.distributed.launch passes the rank as an option, torchrun in the environment.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    return args


def main() -> None:
    args = parse_args()
    train(
        args.config,
        args.work_dir,
        args.cfg_options,
        resume=args.resume,
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
        launcher=args.launcher,
    )


if __name__ == "__main__":
    main()
