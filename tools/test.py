"""Evaluate a detector; of a distillation, its student."""

import argparse
import os

from mmengine.config import DictAction

from tbd.engine import LAUNCHERS, evaluate


def parse_args() -> argparse.Namespace:
    """Parse the command line; the options are those of MMDetection's own tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file, of a distillation or of a plain detector")
    parser.add_argument("checkpoint", help="checkpoint of the training or exported student")
    parser.add_argument("--work-dir", help="folder for logs and metrics")
    parser.add_argument("--out", metavar="FILE.pkl", help="write the predictions to this file")
    parser.add_argument("--show", action="store_true", help="show the predictions in windows")
    parser.add_argument(
        "--show-dir", help="write pictures to this folder, in WORK_DIR/<time of the run>"
    )
    parser.add_argument("--wait-time", type=float, default=2, help="seconds per window")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="override settings of the config; data_root=FOLDER moves the whole data set",
    )
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="job launcher")
    # torch.distributed.launch passes the rank as an option, torchrun in the environment.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    return args


def main() -> None:
    args = parse_args()
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


if __name__ == "__main__":
    main()
